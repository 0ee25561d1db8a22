// What a link opened: its key goes out of the address bar, and out of this entry of the history.

history.replaceState(null, '', '/open')
