// A table of any number of rows: sorted by its headings, and only the rows in sight are in the page.
import {el, say} from './dom.js'

const TALL_PX = 600 // no table is higher
const AHEAD = 8 // rows drawn above and below the sight, so that a quick wheel shows no hole

// columns: [{key, title, cell: row => text or element, sort: row => number or text, roomy: not on a phone, numeric}]
// options: {label, key: row => id, sort: key, descending, rowPx, empty: text, open: row => …, height: CSS length}
// -> {element, show(rows), mark(id)}
export function table(columns, options) {
  const state = {rows: [], sorted: [], by: options.sort, descending: options.descending ?? false, marked: '', first: -1, last: -1, settled: ''}
  const rowPx = options.rowPx ?? 38
  const heads = columns.map((column) => heading(column, state, () => arrange(true)))
  const above = gap()
  const below = gap()
  const body = el('tbody')
  const lines = new Map() // row -> what shows it, of those in the page
  const head = el('thead', {}, el('tr', {}, heads.map((one) => one.cell)))
  const grid = el('table', {class: 'listing', 'aria-label': options.label}, head, body)
  const empty = el('p', {class: 'listing-empty'})
  const frame = el('div', {class: 'listing-frame', tabindex: 0, role: 'group', 'aria-label': `${options.label}, scrolls`}, grid, empty)
  frame.style.maxHeight = options.height ?? '26rem'

  function gap() {
    return el('tr', {'aria-hidden': 'true', class: 'listing-gap'}, el('td', {colspan: columns.length}))
  }

  function arrange(anew) {
    const column = columns.find((one) => one.key === state.by)
    const sign = state.descending ? -1 : 1
    state.sorted = column ? [...state.rows].sort((a, b) => sign * compare(column.sort(a), column.sort(b))) : state.rows
    for (const one of heads) one.turn()
    draw(anew)
    settle()
  }

  function draw(anew) {
    const height = Math.max(frame.clientHeight, TALL_PX) // while it is empty, or not in the page yet, it has no height
    const first = Math.max(0, Math.floor(frame.scrollTop / rowPx) - AHEAD)
    const last = Math.min(state.sorted.length, Math.ceil((frame.scrollTop + height) / rowPx) + AHEAD)
    if (!anew && first === state.first && last === state.last) return
    state.first = first
    state.last = last
    const at = focused()
    above.firstChild.style.height = `${first * rowPx}px`
    below.firstChild.style.height = `${(state.sorted.length - last) * rowPx}px`
    if (anew) lines.clear()
    const wanted = state.sorted.slice(first, last).map((row, place) => lines.get(row) ?? line(row, first + place))
    const kept = new Set(wanted)
    for (const [row, tr] of lines) if (!kept.has(tr)) { lines.delete(row); tr.remove() }
    if (anew) body.replaceChildren(above, ...wanted, below)
    else put(wanted)
    if (at) body.querySelector(`[data-id="${CSS.escape(at)}"] .row-open`)?.focus({preventScroll: true})
    grid.setAttribute('aria-rowcount', state.sorted.length + 1)
    empty.hidden = state.sorted.length > 0
    grid.hidden = state.sorted.length === 0
    say(empty, options.empty ?? 'Nothing yet.')
  }

  // Columns as wide as the rows of the beginning want them: they do not jump while one scrolls, and no row costs a layout of all.
  function settle() {
    const now = `${frame.clientWidth} ${state.rows.length}`
    if (now === state.settled || !frame.clientWidth || !state.sorted.length) return
    state.settled = now
    grid.style.tableLayout = 'auto'
    for (const {cell} of heads) cell.style.width = ''
    const widths = heads.map(({cell}) => cell.offsetWidth)
    heads.forEach(({cell}, at) => { cell.style.width = `${widths[at]}px` })
    grid.style.tableLayout = 'fixed'
  }

  // Rows that are in sight already stay as they are: only those at the edge are made.
  function put(wanted) {
    let before = above
    for (const tr of wanted) {
      if (before.nextSibling !== tr) before.after(tr)
      before = tr
    }
  }

  function focused() {
    return document.activeElement?.closest?.('.listing') === grid ? document.activeElement.closest('tr')?.dataset.id : undefined
  }

  function line(row, place) {
    const id = options.key(row)
    const cells = columns.map((column, at) => {
      let content = column.cell(row)
      if (at === 0 && options.open) content = el('button', {type: 'button', class: 'row-open', 'data-row': true, onclick: () => options.open(row)}, content)
      return el('td', {class: looks(column)}, content)
    })
    const tr = el('tr', {'data-id': id, 'aria-rowindex': place + 2, class: id === state.marked ? 'marked' : null}, cells)
    tr.style.height = `${rowPx}px`
    lines.set(row, tr)
    return tr
  }

  frame.addEventListener('scroll', () => draw(false), {passive: true})
  frame.addEventListener('keydown', (event) => steps(event, body))
  return {
    element: frame,
    show(rows) {
      state.rows = rows
      arrange(true)
    },
    mark(id) {
      if (id === state.marked) return
      state.marked = id
      draw(true)
    },
  }
}

const looks = (column) => [column.roomy ? 'roomy' : '', column.numeric ? 'right' : ''].join(' ').trim() || null

function heading(column, state, changed) {
  const mark = el('span', {class: 'sort-mark', 'aria-hidden': 'true'})
  const turn = () => {
    const here = state.by === column.key
    cell.setAttribute('aria-sort', here ? (state.descending ? 'descending' : 'ascending') : 'none')
    say(mark, here ? (state.descending ? '▼' : '▲') : '')
  }
  const click = () => {
    state.descending = state.by === column.key ? !state.descending : Boolean(column.falling)
    state.by = column.key
    changed()
  }
  const cell = el('th', {scope: 'col', class: looks(column)}, el('button', {type: 'button', class: 'sort', onclick: click}, column.title, mark))
  return {cell, turn}
}

// What is not known comes last, whichever way.
function compare(a, b) {
  if (typeof a === 'string' || typeof b === 'string') return String(a ?? '').localeCompare(String(b ?? ''))
  return (a ?? Infinity) - (b ?? Infinity) || 0
}

// Up and down go from row to row.
function steps(event, body) {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
  const row = document.activeElement?.closest('tbody tr')
  if (!row) return
  const next = event.key === 'ArrowDown' ? row.nextElementSibling : row.previousElementSibling
  const button = next?.querySelector('.row-open')
  if (!button || !body.contains(button)) return
  event.preventDefault()
  button.focus()
}
