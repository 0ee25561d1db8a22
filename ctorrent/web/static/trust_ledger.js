// The ledger: what everybody signed, a page at a time, and a check of every signature and link.

import {complain, get} from './api.js'
import {el, fill, say} from './dom.js'
import {doing, panel, when, wordsOf} from './parts.js'
import {table} from './table.js'
import {count, number, short} from './words.js'

const PAGE = 500 // entries in one answer
const LOOK_MAX = 10 // pages that one click looks through for an author or a kind
const WORDS_MAX = 60 // of an entry's body, in its row

export function open(root) {
  const state = {rows: [], after: 0, end: false, closed: false}
  const author = el('input', {type: 'search', id: 'ledger-author', 'data-filter': true, autocomplete: 'off', placeholder: 'name or id'})
  const kind = el('select', {id: 'ledger-kind'}, el('option', {value: ''}, 'any'))
  const words = el('p', {class: 'soft', role: 'status'})
  const more = el('button', {type: 'button', onclick: () => doing(more, further, complain)}, 'Look further')
  const detail = entry()
  const rows = table([
    {key: 'position', title: '#', cell: (row) => number(row.position), sort: (row) => row.position},
    {key: 'kind', title: 'Kind', cell: (row) => row.kind, sort: (row) => row.kind},
    {key: 'author', title: 'Author', cell: (row) => el('span', {title: row.author}, short(row.author)), sort: (row) => row.author},
    {key: 'when', title: 'Written', roomy: true, falling: true, cell: (row) => when(row.issued_unix), sort: (row) => row.issued_unix},
    {key: 'body', title: 'Says', roomy: true, cell: (row) => said(row), sort: said},
  ], {label: 'Ledger', key: (row) => row.id, sort: 'position', open: detail.open, empty: 'No entry: it is written when jobs are announced, taken, checked and paid.', height: '34rem'})
  fill(root, verification(), panel('ledger', 'Entries',
    el('form', {class: 'filters', 'aria-label': 'Filter the entries', onsubmit: (event) => event.preventDefault(), oninput: show},
      el('label', {for: 'ledger-author'}, 'Author', author), el('label', {for: 'ledger-kind'}, 'Kind', kind)),
    words, rows.element, el('div', {class: 'row'}, more)), detail.element)

  const wanted = () => state.rows.filter((row) => row.author.toLowerCase().includes(author.value.trim().toLowerCase()) && (!kind.value || row.kind === kind.value))

  function show() {
    const kept = wanted()
    rows.show(kept)
    more.hidden = state.end
    say(words, `${number(kept.length)} shown of the first ${count(state.rows.length, 'entry', 'entries')}${state.end ? ': all that this node holds' : '; there are more'}.`)
  }

  async function further() {
    const before = wanted().length
    for (let page = 0; page < LOOK_MAX && !state.end && (page === 0 || wanted().length === before); page += 1) await read()
    if (!state.closed) show()
  }

  async function read() {
    const answer = await get(`ledger?after=${state.after}&limit=${PAGE}`)
    const found = answer.items ?? answer
    state.rows.push(...found)
    state.after += found.length
    state.end = found.length < PAGE
    const kinds = [...new Set(state.rows.map((row) => row.kind))].sort()
    if (kinds.length !== kind.options.length - 1) {
      const chosen = kind.value
      fill(kind, el('option', {value: ''}, 'any'), kinds.map((one) => el('option', {value: one, selected: one === chosen}, one)))
    }
  }

  further().catch(complain)
  return () => { state.closed = true }
}

function said(row) {
  const text = Object.entries(row.body).map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`).join(', ')
  return text.length > WORDS_MAX ? `${text.slice(0, WORDS_MAX)}…` : text
}

// One entry in full, in a dialog.
function entry() {
  const inside = el('div', {class: 'stack'})
  const element = el('dialog', {class: 'ask card', 'aria-labelledby': 'entry-title'}, inside)
  return {
    element,
    open(row) {
      fill(inside, el('div', {class: 'row spread'}, el('h2', {id: 'entry-title'}, `Entry ${row.seq} of ${short(row.author)}: ${row.kind}`), el('button', {type: 'button', class: 'icon', 'aria-label': 'Close', onclick: () => element.close()}, '✕')),
        el('dl', {class: 'facts'}, [['Author', row.author], ['Written', when(row.issued_unix)], ['Ring', row.ring], ['Id', row.id]].map(([name, value]) => [el('dt', {}, name), el('dd', {}, el('code', {}, value))])),
        el('pre', {class: 'body', tabindex: 0}, JSON.stringify(row.body, null, 2)))
      element.showModal()
    },
  }
}

function verification() {
  const words = el('div', {role: 'status'})
  const go = el('button', {type: 'button', class: 'main', onclick: () => {
    say(words, 'Checking every signature and link…')
    doing(go, async () => fill(words, verdict(await get('ledger/verify'))), (error) => say(words, wordsOf(error)))
  }}, 'Verify the ledger')
  return panel('verify', 'Does it hold?', el('div', {class: 'row'}, go, el('span', {class: 'soft'}, 'Reads every entry that this node holds again, from its bytes.')), words)
}

function verdict(found) {
  const wrong = found.bad.length + found.forks.length + found.lies.length
  const head = `${count(found.entries, 'entry', 'entries')} by ${count(found.authors, 'author')}: ${wrong ? `${number(wrong)} of them do not hold.` : 'every signature and every link holds.'}`
  const lines = [...found.bad, ...found.forks.map((fork) => `${fork.author} wrote two different entries ${fork.incarnation}.${fork.seq}`), ...found.lies]
  return [el('p', {class: `note ${wrong ? 'bad' : 'good'}`}, head), lines.length ? el('ul', {class: 'votes'}, lines.slice(0, 100).map((line) => el('li', {}, line))) : null]
}
