// Credit: who worked for whom, by persons, and the receipts behind one account.

import {complain, get} from './api.js'
import {el, fill, say} from './dom.js'
import {called, credits, panel, when} from './parts.js'
import {table} from './table.js'
import {count, number} from './words.js'

export function open(root, [who] = []) {
  const words = el('p', {class: 'soft', role: 'status'})
  const account = el('div', {class: 'stack'})
  const rows = table([
    {key: 'name', title: 'Person', cell: called, sort: called},
    {key: 'me', title: 'Did for me', numeric: true, falling: true, cell: (row) => credits(row.for_me.credits), sort: (row) => row.for_me.credits},
    {key: 'them', title: 'I did for them', numeric: true, falling: true, cell: (row) => credits(row.for_them.credits), sort: (row) => row.for_them.credits},
    {key: 'balance', title: 'Balance', numeric: true, falling: true, cell: (row) => signed(row.balance), sort: (row) => row.balance},
    {key: 'waits', title: 'Not yet receipted', numeric: true, roomy: true, cell: (row) => `${credits(row.waits_for_me.credits)} / ${credits(row.waits_for_them.credits)}`, sort: (row) => row.waits_for_me.credits + row.waits_for_them.credits},
    {key: 'left', title: 'May still owe', numeric: true, roomy: true, cell: (row) => (row.friend ? 'friend' : credits(row.left)), sort: (row) => row.left},
  ], {label: 'Credit', key: (row) => row.person, sort: 'balance', descending: true, open: (row) => { location.hash = `#/trust/credit/${encodeURIComponent(row.person)}` }, empty: 'Nobody has worked for anybody yet.'})
  fill(root, panel('credit', 'Who worked for whom', words, rows.element), account)
  get('credit').then((found) => {
    const all = found.items ?? found
    rows.show(all)
    const balance = all.reduce((sum, row) => sum + row.balance, 0)
    say(words, `${count(all.length, 'account')}; together ${balance >= 0 ? `they owe you ${credits(balance)}` : `you owe ${credits(-balance)}`} credits. A credit is an hour of the reference core.`)
  }).catch(complain)
  if (who) {
    rows.mark(who)
    get(`credit?who=${encodeURIComponent(who)}`).then((found) => fill(account, behind((found.items ?? found)[0]))).catch(complain)
  }
}

const signed = (value) => `${value > 0 ? '+' : ''}${credits(value)}`

function behind(row) {
  if (!row) return null
  const receipts = table([
    {key: 'when', title: 'Written', falling: true, cell: (one) => when(one.issued_unix), sort: (one) => one.issued_unix},
    {key: 'whose', title: 'Worked for', cell: (one) => (one.for_me ? 'me' : 'them'), sort: (one) => String(one.for_me)},
    {key: 'job', title: 'Job', roomy: true, cell: (one) => el('code', {}, one.job), sort: (one) => one.job},
    {key: 'blocks', title: 'Blocks', numeric: true, falling: true, cell: (one) => number(one.blocks), sort: (one) => one.blocks},
    {key: 'cores', title: 'Core-hours', numeric: true, falling: true, roomy: true, cell: (one) => credits(one.core_hours), sort: (one) => one.core_hours},
    {key: 'credits', title: 'Credits', numeric: true, falling: true, cell: (one) => credits(one.credits), sort: (one) => one.credits},
  ], {label: 'Receipts of this account', key: (one) => `${one.requester}${one.entry}${one.worker}${one.number}`, sort: 'when', descending: true, empty: 'No receipt yet.'})
  const made = panel('account', `Account of ${called(row)}`, el('p', {}, `Balance ${signed(row.balance)} credits. For you: ${count(row.for_me.blocks, 'block')}, ${credits(row.for_me.core_hours)} core-hours. For them: ${count(row.for_them.blocks, 'block')}, ${credits(row.for_them.core_hours)} core-hours.`), receipts.element, el('p', {class: 'soft'}, 'Person ', el('code', {}, row.person)))
  requestAnimationFrame(() => receipts.show(row.receipts))
  return made
}
