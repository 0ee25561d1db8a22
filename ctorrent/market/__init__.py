"""market: can this node run it, at what price, and which bids a coordinator takes. Pure; imports floor 0 only.

    fit.py       needs against a machine: the environment to use, or every reason why not
    capacity.py  what is allotted now; never oversold
    price.py     credits per reference core-hour, and what a GPU-hour is of them
    pay.py       what each worker of a job has earned, whatever it says
    estimate.py  what a job will take and cost on the machines that are known
    rank.py      score of a bidder from a frozen snapshot of standings; newcomers' and owners' shares
    answer.py    a worker's side: dial or not, and after how long
    tally.py     why peers do not take a job, added up in a sentence
    words.py     events and effects of the auction, and its rules
    auction.py   the machine of one job: announce, collect, engage, replace, give up with the reasons

Papers: Smith, "The Contract Net Protocol", IEEE Trans. Computers C-29(12), 1980; Wilson, JASA 22, 1927 (lower bound).
May be imported by node/ and testing/.
"""
