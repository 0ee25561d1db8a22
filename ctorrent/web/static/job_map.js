// The block map: who computes what, and which blocks are agreed, disputed or running. A canvas that a keyboard can read.

import {get} from './api.js'
import {colours, el, fill, onScheme, say} from './dom.js'
import {Cells, HUES, layout, paint, paintSome, STATES} from './job_grid.js'
import {inline} from './job_values.js'
import {count, duration, number} from './words.js'

const REST_MS = 120 // that a pointer rests on a block before its params are asked for
const ROWS_KEPT = 400 // of blocks that were looked at
const LENS = 11 // blocks across, of the lens over cells too small to see
const MEANS = {
  waiting: 'nobody has it yet', running: 'a worker computes it', provisional: 'one answer is here, it is not final',
  settled: 'agreed, final', disputed: 'the answers differ', failed: 'the program failed on it',
}

// onPick(index): a block was clicked, or Enter pressed on it.
export class BlockMap {
  constructor(job, onPick) {
    Object.assign(this, {job, onPick, by: 'worker', cells: null, workers: [], version: -1, at: 0, rows: new Map(), dirty: new Set(), whole: true, frame: 0, closed: false, asking: false, stale: false})
    this.canvas = el('canvas', {'aria-hidden': 'true'})
    this.cursor = el('div', {class: 'map-cursor', hidden: true})
    this.lens = el('canvas', {class: 'map-lens', width: 110, height: 110, hidden: true})
    this.words = el('div', {class: 'map-words'})
    this.tip = el('div', {class: 'map-tip', hidden: true, 'aria-hidden': 'true'}, this.lens, this.words)
    this.box = el('div', {class: 'map', tabindex: '0', role: 'application', 'aria-roledescription': 'block map', 'aria-describedby': 'map-how'}, this.canvas, this.cursor, this.tip)
    this.spoken = el('p', {class: 'unseen', 'aria-live': 'polite'})
    this.legend = el('ul', {class: 'legend', 'aria-label': 'What the colours mean'})
    this.buttons = ['worker', 'state'].map((by) => el('button', {type: 'button', 'aria-pressed': String(by === this.by), onclick: () => this.colourBy(by)}, by === 'worker' ? 'by worker' : 'by state'))
    this.element = el('section', {class: 'panel', 'aria-labelledby': 'map-title'},
      el('div', {class: 'panel-head'}, el('h2', {id: 'map-title'}, 'Blocks'), el('div', {class: 'tabs', role: 'group', 'aria-label': 'Colours'}, this.buttons)),
      this.box, this.legend, this.spoken,
      el('p', {class: 'unseen', id: 'map-how'}, 'Arrow keys go from block to block, Page Up and Page Down ten rows, Home and End to the first and last. Enter opens the block.'))
    this.listen()
    this.unscheme = onScheme(() => { this.palette = null; this.whole = true; this.draw() })
    this.watch = new ResizeObserver(() => this.fit())
    this.watch.observe(this.box)
  }

  close() {
    this.closed = true
    cancelAnimationFrame(this.frame)
    clearTimeout(this.rest)
    this.watch.disconnect()
    this.unscheme()
  }

  // Asks for what changed; one request at a time, and one more where something changed meanwhile.
  async update() {
    if (this.asking) { this.stale = true; return }
    this.asking = true
    try {
      do {
        this.stale = false
        this.apply(await get(`jobs/${encodeURIComponent(this.job)}/blocks?since=${this.version}`))
      } while (this.stale && !this.closed)
    } finally {
      this.asking = false
    }
  }

  apply(map) {
    if (this.closed) return
    if (!this.cells || map.version < this.version) this.cells = new Cells(map.blocks)
    else if (map.blocks > this.cells.blocks) this.cells = this.cells.grow(map.blocks)
    if (this.grid?.of !== map.blocks) this.fit()
    if (this.version < 0 && this.grid?.side < 4) this.colourBy('state') // colours of many workers, that small, are noise
    this.version = map.version
    this.workers = map.workers
    if (map.changed.length > this.cells.blocks / 4) this.whole = true
    for (const [index, state, worker, agreed] of map.changed) {
      if (this.cells.put(index, state, worker, agreed)) this.dirty.add(index)
      if (index !== this.shown) this.rows.delete(index)
    }
    this.legended()
    this.draw()
  }

  fit() {
    if (!this.cells) return
    const width = this.box.clientWidth
    if (!width || (this.grid?.of === this.cells.blocks && this.grid?.within === width)) return
    this.grid = {...layout(this.cells.blocks, width), of: this.cells.blocks, within: width}
    const scale = Math.min(2, devicePixelRatio || 1)
    this.canvas.width = this.grid.width * scale
    this.canvas.height = this.grid.height * scale
    this.canvas.style.width = `${this.grid.width}px`
    this.canvas.style.height = `${this.grid.height}px`
    this.context = this.canvas.getContext('2d', {alpha: true})
    this.context.setTransform(scale, 0, 0, scale, 0, 0)
    this.scale = scale
    this.whole = true
    this.draw()
  }

  draw() {
    if (!this.frame && !this.closed) this.frame = requestAnimationFrame(() => { this.frame = 0; this.drawNow() })
  }

  drawNow() {
    if (!this.grid || !this.cells) return
    if (!this.palette) {
      const found = colours([...STATES.map((name) => `b-${name}`), ...Array.from({length: HUES}, (_, n) => `w${n}`), 'surface'])
      this.palette = Object.fromEntries(Object.entries(found).map(([name, colour]) => [name.replace(/^b-/, ''), colour]))
    }
    if (this.whole) {
      this.context.clearRect(0, 0, this.grid.width, this.grid.height)
      paint(this.context, this.grid, this.cells, this.palette, this.by, 0, this.cells.blocks)
    } else {
      paintSome(this.context, this.grid, this.cells, this.palette, this.by, this.dirty)
    }
    this.whole = false
    this.dirty.clear()
    if (!this.tip.hidden) this.refresh(this.shown)
  }

  colourBy(by) {
    this.by = by
    this.buttons.forEach((button, n) => button.setAttribute('aria-pressed', String(['worker', 'state'][n] === by)))
    this.whole = true
    this.legended()
    this.draw()
  }

  legended() {
    const {counts, painted, settled} = this.cells
    const items = []
    const states = STATES.map((name, n) => [name, counts[n]]).filter(([name, found]) => found || name === 'waiting' || name === 'settled')
    if (this.by === 'worker') {
      // Each block is counted once: a worker's settled ones with it, the others with their state.
      this.workers.forEach((worker, n) => painted[n] && items.push([`w${n % HUES}`, worker.local ? 'this machine' : worker.name || worker.node.slice(0, 8), settled[n], 'full']))
      const others = states.map(([name, found]) => [name, name === 'settled' ? found - settled.reduce((sum, n) => sum + n, 0) : found])
      for (const [name, found] of others) if (found) items.push([name, name, found, name === 'running' ? 'ring' : name === 'provisional' ? 'pale' : ''])
    } else for (const [name, found] of states) items.push([name, name, found, name === 'running' ? 'ring' : ''])
    const key = JSON.stringify([this.by, items])
    if (key === this.legendKey) return
    this.legendKey = key
    fill(this.legend, items.slice(0, 24).map(([swatch, name, found, how]) =>
      el('li', {title: MEANS[name] ?? null}, el('i', {class: `swatch ${swatch} ${how}`, 'aria-hidden': 'true'}), el('span', {}, name), ' ', el('b', {class: 'num'}, number(found)))),
      items.length > 24 && el('li', {}, `and ${items.length - 24} more workers`))
    this.box.setAttribute('aria-label', `Map of ${count(this.cells.blocks, 'block')}: ${states.map(([name, found]) => `${number(found)} ${name}`).join(', ')}`)
  }

  // -- pointing and keys -----------------------------------------------------------------------------------------------

  listen() {
    this.box.addEventListener('pointermove', (event) => this.hover(this.under(event)))
    this.box.addEventListener('pointerleave', () => { if (document.activeElement !== this.box || !this.box.matches(':focus-visible')) this.hide() })
    this.box.addEventListener('click', (event) => {
      const index = this.under(event)
      if (index >= 0) { this.at = index; this.hover(index); this.onPick(index) }
    })
    this.box.addEventListener('focus', () => { if (this.box.matches(':focus-visible')) this.go(this.at) })
    this.box.addEventListener('blur', () => this.hide())
    this.box.addEventListener('keydown', (event) => this.key(event))
  }

  under(event) {
    if (!this.grid) return -1
    const where = this.canvas.getBoundingClientRect()
    const column = Math.floor((event.clientX - where.left) / this.grid.side), row = Math.floor((event.clientY - where.top) / this.grid.side)
    const index = row * this.grid.columns + column
    return column < 0 || row < 0 || column >= this.grid.columns || index >= this.cells.blocks ? -1 : index
  }

  key(event) {
    if (!this.grid || event.ctrlKey || event.metaKey || event.altKey) return
    const {columns} = this.grid
    const by = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -10 * columns, PageDown: 10 * columns, Home: -this.at, End: this.cells.blocks}[event.key]
    if (by !== undefined) this.go(event.key === 'End' ? this.cells.blocks - 1 : this.at + by)
    else if (event.key === 'Enter' || event.key === ' ') this.onPick(this.at)
    else if (event.key === 'Escape') this.hide()
    else return
    event.preventDefault()
  }

  go(index) {
    if (!this.cells || index < 0 || index >= this.cells.blocks) return
    this.at = index
    say(this.spoken, this.known(index).join('. '))
    this.hover(index).then((words) => { if (words && this.at === index) say(this.spoken, words) })
  }

  // -> all that is said of the block, when it is known; '' when another is looked at by then
  async hover(index) {
    if (index < 0) { this.hide(); return '' }
    if (this.shown === index && !this.tip.hidden) return ''
    this.shown = index
    const {side, gap, columns} = this.grid
    const x = (index % columns) * side, y = Math.floor(index / columns) * side
    Object.assign(this.cursor.style, {left: `${x - 2}px`, top: `${y - 2}px`, width: `${side - gap + 4}px`, height: `${side - gap + 4}px`})
    this.cursor.hidden = this.tip.hidden = false
    this.refresh(index)
    const right = x > this.grid.width / 2
    Object.assign(this.tip.style, {top: `${y + side + 6}px`, left: right ? 'auto' : `${Math.max(0, x)}px`, right: right ? `${Math.max(0, this.box.clientWidth - x - side)}px` : 'auto'})
    clearTimeout(this.rest)
    await new Promise((resolve) => { this.rest = setTimeout(resolve, REST_MS) })
    if (this.closed || this.shown !== index) return ''
    await this.row(index).catch(() => null) // a block without its params is still a block
    if (this.closed || this.shown !== index) return ''
    this.refresh(index)
    return this.words.innerText.replaceAll('\n', '. ')
  }

  hide() {
    this.shown = undefined
    this.cursor.hidden = this.tip.hidden = true
  }

  // Words on one block: what the map knows, and its params once they have come.
  refresh(index) {
    const row = this.rows.get(index)
    fill(this.words, this.known(index).map((line, n) => el('p', {class: n ? '' : 'lead'}, line)), row && this.more(row).map((line) => el('p', {class: 'mono'}, line)))
    this.magnify(index)
  }

  known(index) {
    const {state, worker, agreed} = this.cells
    const name = STATES[state[index]], who = this.workers[worker[index]]
    const lines = [`Block ${number(index)}: ${name}`]
    if (who) lines.push(`${name === 'running' ? 'on' : 'by'} ${who.local ? 'this machine' : who.name || who.node.slice(0, 8)}${agreed[index] > 1 ? `, ${agreed[index]} agree` : ''}`)
    else lines.push(MEANS[name])
    return lines
  }

  more(row) {
    const lines = []
    const params = inline(row.params, 160)
    if (params) lines.push(params)
    if (row.words) lines.push(row.words)
    if (row.failure) lines.push(String(row.failure.text ?? row.failure.type ?? '').trim().split('\n').pop().slice(0, 200))
    if (row.seconds) lines.push(duration(row.seconds))
    return lines
  }

  async row(index) {
    if (this.rows.has(index)) return this.rows.get(index)
    const found = await rowOf(this.job, index)
    if (this.rows.size >= ROWS_KEPT) this.rows.delete(this.rows.keys().next().value)
    if (found) this.rows.set(index, found)
    return found
  }

  // Cells of a few pixels are shown larger around the pointer.
  magnify(index) {
    this.lens.hidden = this.grid.side >= 7
    if (this.lens.hidden) return
    const {side, columns} = this.grid
    const span = LENS * side * this.scale, half = Math.floor(LENS / 2)
    const x = ((index % columns) - half) * side * this.scale, y = (Math.floor(index / columns) - half) * side * this.scale
    const lens = this.lens.getContext('2d')
    lens.imageSmoothingEnabled = false
    lens.clearRect(0, 0, 110, 110)
    lens.drawImage(this.canvas, x, y, span, span, 0, 0, 110, 110)
    lens.strokeStyle = this.palette?.surface ?? '#fff'
    lens.lineWidth = 1
    const cell = 110 / LENS
    for (let n = 1; n < LENS; n++) { lens.strokeRect(n * cell, -1, 0, 112); lens.strokeRect(-1, n * cell, 112, 0) }
    lens.strokeStyle = getComputedStyle(this.box).color
    lens.lineWidth = 2
    lens.strokeRect(half * cell, half * cell, cell, cell)
  }
}

export async function rowOf(job, index) {
  const answer = await get(`jobs/${encodeURIComponent(job)}/results?after=${index - 1}&limit=1`)
  return (answer.rows ?? answer.items ?? answer)[0] ?? null
}
