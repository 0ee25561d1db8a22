// Reputation: a row for each machine that votes speak of, and the votes behind one.

import {complain, get} from './api.js'
import {el, fill, say} from './dom.js'
import {called, panel, when} from './parts.js'
import {table} from './table.js'
import {count, number, percent} from './words.js'

const STATES = {'': ['good', 'in good standing'], newcomer: ['info', 'newcomer'], quarantined: ['bad', 'quarantined'], 'on trial': ['warn', 'on trial']}
const AGAIN_MS = 10000 // votes come with the blocks of jobs, and no event tells of each

export function open(root, [who] = []) {
  const words = el('p', {class: 'soft', role: 'status'})
  const votes = el('div', {class: 'stack'})
  let closed = false
  const rows = table([
    {key: 'name', title: 'Machine', cell: called, sort: called},
    {key: 'state', title: 'Standing', cell: (row) => standing(row), sort: (row) => row.state},
    {key: 'bound', title: 'Right answers', numeric: true, falling: true, cell: (row) => `≥ ${percent(row.lower_bound)}`, sort: (row) => row.lower_bound},
    {key: 'agreed', title: 'Agreed', numeric: true, falling: true, cell: (row) => weight(row.agreed), sort: (row) => row.agreed},
    {key: 'disputed', title: 'Disputed', numeric: true, falling: true, cell: (row) => weight(row.disputed), sort: (row) => row.disputed},
    {key: 'trust', title: 'Its word weighs', numeric: true, falling: true, roomy: true, cell: (row) => row.trust.toFixed(2), sort: (row) => row.trust},
  ], {label: 'Reputation', key: (row) => row.node, sort: 'bound', descending: true, open: (row) => { location.hash = `#/trust/${row.node}` }, empty: 'No votes yet: they are written when machines check one another’s blocks.'})
  fill(root, panel('reputation', 'What is thought of each machine', words, rows.element), votes)
  const load = async () => {
    const found = await get('reputation').catch((error) => void complain(error))
    if (!found || closed) return
    const all = found.items ?? found
    rows.show(all)
    say(words, `${count(all.length, 'machine')}. Each vote weighs as much as its author is trusted here, and older ones weigh less.`)
  }
  const again = setInterval(load, AGAIN_MS)
  load()
  if (who) {
    rows.mark(who)
    reasons(votes, who)
  }
  return () => {
    closed = true
    clearInterval(again)
  }
}

const weight = (value) => (value > 0 && value < 10 ? value.toFixed(1) : number(value))

function standing(row) {
  const [kind, text] = STATES[row.state] ?? ['odd', row.state]
  return el('span', {class: `pill ${kind}`}, text)
}

async function reasons(place, who) {
  let row
  try {
    const found = await get(`reputation?who=${encodeURIComponent(who)}`)
    row = (found.items ?? found)[0]
  } catch (error) {
    complain(error)
    return
  }
  if (!row) return
  fill(place, panel('why', `Why: ${called(row)}`,
    el('p', {}, standing(row), ` At least ${percent(row.lower_bound)} of its answers are right (with 95 % certainty): ${weight(row.agreed)} agreed, ${weight(row.disputed)} disputed, weighted. `,
      row.newcomer ? `A newcomer: ${number(row.established)} of ${number(row.dues)} right blocks in a row.` : ''),
    row.held ? el('p', {class: 'note bad'}, row.held) : null,
    row.past ? el('p', {class: 'note warn'}, row.past) : null,
    el('h3', {}, 'Votes behind it'),
    row.why.length ? el('ul', {class: 'votes'}, signers(row.why).map(([signer, entries]) => el('li', {}, signer, entries.length ? el('ul', {}, entries.map((one) => el('li', {}, one))) : null)))
      : el('p', {class: 'soft'}, 'No vote yet.'),
    against(row.against ?? []),
    el('p', {class: 'soft'}, 'Node ', el('code', {}, row.node)),
    el('p', {}, el('a', {href: `#/network/${encodeURIComponent(row.node)}`}, `${called(row)} in the network`))))
}

// Lines as the node says them: a signer, and below it its entries, set in by two spaces.
function signers(lines) {
  const found = []
  for (const line of lines) {
    if (line.startsWith('  ') && found.length) found.at(-1)[1].push(line.trim())
    else found.push([line.trim(), []])
  }
  return found
}

function against(votes) {
  if (!votes.length) return null
  return [el('h3', {}, 'Votes against this machine, and what it answered'),
    el('ul', {class: 'votes'}, votes.map((vote) => el('li', {}, `${when(vote.issued_unix)}: ${vote.words || `${number(vote.disputed)} disputed, ${number(vote.invalid)} invalid`} – ${vote.standing}`)))]
}
