// A job's rows as a table: any number of them, of which only those in sight are elements.

import {complain, get, listOf} from './api.js'
import {add, el, fill, say} from './dom.js'
import {download} from './job_download.js'
import {flat, inline, isNumber, isPicture, picture} from './job_values.js'
import {pathOf} from './job_words.js'
import {number} from './words.js'

const PAGE = 200 // rows of one call
const PAGES_KEPT = 25
const AROUND = 8 // rows drawn beyond what is in sight
const COLUMNS = 24 // more are in the downloads, and all of them in the JSON
const LIVE_MS = 1000 // between two looks at rows that may have changed

export class Results {
  constructor(job, names, onPick) {
    Object.assign(this, {job: job.job, name: job.name, blocks: job.blocks, names, onPick, pages: new Map(), asked: new Set(), columns: [], pictures: false, frame: 0, closed: false})
    this.table = el('table', {class: 'rows', 'aria-rowcount': this.blocks + 1}, this.cols = el('colgroup'), this.head = el('thead'), this.body = el('tbody'))
    this.box = el('div', {class: 'rows-box', tabindex: '0', role: 'region', 'aria-label': 'Results, a row for each block'}, this.table)
    this.box.addEventListener('scroll', () => this.draw())
    this.word = el('span', {class: 'soft num', role: 'status'})
    this.element = el('div', {class: 'stack'},
      el('div', {class: 'row spread'}, this.word, el('div', {class: 'row'},
        ['csv', 'json'].map((kind) => el('button', {type: 'button', onclick: (event) => this.save(kind, event.currentTarget)}, `Download ${kind.toUpperCase()}`)))),
      this.box)
    this.watch = new ResizeObserver(() => this.draw())
    this.watch.observe(this.box)
    this.ask(0)
  }

  close() {
    this.closed = true
    cancelAnimationFrame(this.frame)
    clearTimeout(this.later)
    this.watch.disconnect()
  }

  get height() { return this.pictures ? 68 : 30 }

  // Something of the job changed: what is in sight is asked for again, not more often than LIVE_MS.
  update(job) {
    if (job.blocks !== this.blocks) { this.blocks = job.blocks; this.table.setAttribute('aria-rowcount', job.blocks + 1) }
    if (this.later) return
    this.later = setTimeout(() => {
      this.later = 0
      const [from, to] = this.sight()
      const near = new Set([Math.floor(from / PAGE), Math.floor(Math.max(from, to - 1) / PAGE)])
      for (const page of this.pages.keys()) if (!near.has(page)) this.pages.delete(page)
      for (const page of near) this.ask(page)
    }, LIVE_MS)
  }

  async ask(page) {
    if (this.asked.has(page) || this.closed) return
    this.asked.add(page)
    try {
      const rows = []
      for (let next = page * PAGE - 1; next !== null && rows.length < PAGE;) { // large values: an answer ends before its limit
        const answer = await get(pathOf(this.job, `results?after=${next}&limit=${PAGE - rows.length}`))
        rows.push(...listOf(answer))
        next = answer.next ?? null
      }
      if (this.closed) return
      while (this.pages.size >= PAGES_KEPT) this.pages.delete(this.pages.keys().next().value)
      this.pages.set(page, rows.map((row) => ({row, cells: flat(row)})))
      this.learn(rows.length ? this.pages.get(page) : [])
      this.draw()
    } catch (error) {
      if (!this.closed) complain(error)
    } finally {
      this.asked.delete(page)
    }
  }

  // Which columns there are, from the rows seen so far; widths stay as they were found, so that nothing jumps.
  learn(found) {
    const known = new Set(this.columns.map((column) => column.name))
    let grew = false
    for (const {cells} of found) {
      for (const [name, value] of cells) {
        if (known.has(name)) continue
        if (this.columns.length >= COLUMNS) { this.hidden = true; continue }
        known.add(name)
        grew = true
        if (isPicture(value)) this.pictures = true
        const texts = found.slice(0, 60).map((one) => (one.cells.has(name) ? inline(one.cells.get(name), 40).length : 0))
        this.columns.push({name, right: isNumber(value), wide: Math.min(34, Math.max(name.length, ...texts, 5) + 2)})
      }
    }
    if (!grew && this.headed) return
    this.headed = true
    const all = [{name: 'block', right: true, wide: Math.max(7, String(this.blocks).length + 2)}, ...this.columns, {name: 'state', wide: 12}, {name: 'agreed', right: true, wide: 9}, {name: 'time', right: true, wide: 9}, {name: 'workers', wide: 24}]
    fill(this.head, el('tr', {'aria-rowindex': 1}, all.map((column) => el('th', {scope: 'col', class: column.right ? 'right' : null, title: column.name}, column.name))))
    fill(this.cols, all.map((column) => { const made = el('col'); made.style.width = `${column.wide}ch`; return made }))
    this.table.style.width = `${all.reduce((sum, column) => sum + column.wide, 0)}ch`
    this.all = all
  }

  sight() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - AROUND)
    return [first, Math.min(this.blocks, first + Math.ceil(this.box.clientHeight / this.height) + 2 * AROUND)]
  }

  draw() {
    if (!this.frame && !this.closed) this.frame = requestAnimationFrame(() => { this.frame = 0; this.drawNow() })
  }

  drawNow() {
    if (!this.headed || this.closed) return
    const [from, to] = this.sight()
    const focused = document.activeElement?.dataset?.index
    fill(this.body, this.spacer(from), Array.from({length: to - from}, (_, n) => this.row(from + n)), this.spacer(this.blocks - to))
    if (focused !== undefined) this.body.querySelector(`[data-index="${CSS.escape(focused)}"]`)?.focus({preventScroll: true})
    for (let page = Math.floor(from / PAGE); page <= Math.floor(Math.max(from, to - 1) / PAGE); page++) if (!this.pages.has(page)) this.ask(page)
    say(this.word, `${number(this.blocks)} rows${this.hidden ? `; the first ${COLUMNS} columns, the downloads have more` : ''}`)
  }

  spacer(rows) {
    if (rows <= 0) return null
    const made = el('tr', {class: 'spacer', 'aria-hidden': 'true'}, el('td', {colspan: this.all.length}))
    made.firstElementChild.style.height = `${rows * this.height}px`
    return made
  }

  row(index) {
    const found = this.pages.get(Math.floor(index / PAGE))?.[index % PAGE]
    const made = el('tr', {'aria-rowindex': index + 2, class: this.pictures ? 'tall' : null})
    add(made, el('td', {class: 'right'}, el('button', {type: 'button', class: 'cell', data: {index, row: ''}, 'aria-label': `Block ${index}`, onclick: () => this.onPick(index)}, number(index))))
    if (!found) return add(made, el('td', {colspan: this.all.length - 1, class: 'soft'}, '…'))
    const {row, cells} = found
    for (const column of this.columns) add(made, this.cell(cells.get(column.name), column, index))
    const trouble = row.failure ? 'failed' : row.state
    add(made, el('td', {}, el('span', {class: `state ${trouble}`, title: row.words ?? row.failure?.text?.trim().split('\n').pop() ?? null}, row.state)),
      el('td', {class: 'right'}, row.agreed ? String(row.agreed) : ''), el('td', {class: 'right'}, row.seconds ? `${Number(row.seconds.toPrecision(3))} s` : ''),
      el('td', {}, (row.workers ?? []).map(this.names).join(', ')))
    return made
  }

  cell(value, column, index) {
    if (value === undefined) return el('td')
    if (isPicture(value)) return el('td', {}, picture(value, `block ${index}, ${column.name}`, 96, 56))
    const text = inline(value, 40)
    return el('td', {class: column.right ? 'right' : null, title: text.length > column.wide - 2 ? inline(value, 400) : null}, text)
  }

  async save(kind, button) {
    button.disabled = true
    try {
      await download({job: this.job, name: this.name, blocks: this.blocks}, kind, (done) => say(this.word, `Reading rows: ${number(done)} of ${number(this.blocks)}`))
    } catch (error) {
      complain(error)
    } finally {
      button.disabled = false
      this.draw()
    }
  }
}
