// What the node says to whoever asks it, in a terminal or here: its advice in the words of this page.

import {bytes} from './words.js'

const OWNERS = 'submit it again with one owner for each block (New job, More)'
const INSTEAD = [
  [/, or submit it with --replicas 1/g, `, or ${OWNERS}`],
  [/\(there: ctorrent invite\)/g, '(there: Make an invite, in the Guide)'],
  [/\(ctorrent invite\)/g, '(Make an invite, in the Guide)'],
  [/(a new one): ctorrent invite$/g, '$1: Make an invite, in the Guide'],
  [/`?ctorrent jobs`? lists them/g, 'Jobs lists them'],
  [/`ctorrent reputation` and `ctorrent peers` list/g, 'Trust and Network list'],
  [/`ctorrent peers` shows owner ids/g, 'Network shows owner ids'],
  [/`ctorrent friend ls` shows who is/g, 'Network shows who is'],
  [/`ctorrent credit` shows/g, 'Credit, under Trust, shows'],
  [/Read them block by block: ctorrent results \S+/g, 'Read them block by block under Results.'],
  [/See: ctorrent why \S+/g, 'Why, on its page, says more.'],
  [/Wait for it: ctorrent attach \S+/g, 'Wait until it has ended.'],
  [/\b(\d+) MiB\b/g, (_, size) => bytes(size * 2 ** 20)],
  [/\b(\d+) peers? saw it/g, (_, seen) => (seen === '1' ? '1 machine saw it' : `${seen} machines saw it`)], // this one is among them where it takes part
]

export const advice = (text) => INSTEAD.reduce((words, [theirs, ours]) => words.replace(theirs, ours), String(text ?? ''))
