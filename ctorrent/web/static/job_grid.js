// Where blocks lie in a block map, and how each is painted. Numbers only: no network, no elements but the canvas.

export const STATES = ['waiting', 'running', 'provisional', 'settled', 'disputed', 'failed']
export const WAITING = 0, RUNNING = 1, PROVISIONAL = 2, SETTLED = 3, DISPUTED = 4, FAILED = 5
export const HUES = 10 // of the style sheet's worker colours, --w0 …; later workers take them again, paler

const HEIGHT_WANTED = 300 // px: with the rest of the page in sight
const SIDE_MIN = 2, SIDE_MAX = 26 // px of one block: less cannot be pointed at, more only wastes paper

// -> {columns, rows, side, gap, width, height} in CSS pixels
export function layout(blocks, width) {
  const ideal = Math.floor(Math.sqrt((width * HEIGHT_WANTED) / Math.max(1, blocks)))
  const side = Math.max(SIDE_MIN, Math.min(SIDE_MAX, ideal))
  const fitting = Math.max(1, Math.min(blocks, Math.floor(width / side)))
  const rows = Math.ceil(blocks / fitting)
  const columns = Math.ceil(blocks / Math.max(1, rows)) // no row of one at the end
  return {columns, rows, side, gap: side >= 12 ? 2 : side >= 5 ? 1 : 0, width: columns * side, height: rows * side}
}

// What a map of blocks says, in arrays: 100,000 blocks are 500 KB.
export class Cells {
  constructor(blocks) {
    this.blocks = blocks
    this.state = new Uint8Array(blocks)
    this.worker = new Int16Array(blocks).fill(-1)
    this.agreed = new Uint8Array(blocks)
    this.counts = new Array(STATES.length).fill(0)
    this.counts[WAITING] = blocks
    this.painted = [] // by worker: blocks in its colour, which run there or have its answer
    this.settled = [] // of them
  }

  grow(blocks) {
    const bigger = new Cells(blocks)
    bigger.state.set(this.state)
    bigger.worker.set(this.worker)
    bigger.agreed.set(this.agreed)
    bigger.counts = [...this.counts]
    bigger.counts[WAITING] += blocks - this.blocks
    bigger.painted = [...this.painted]
    bigger.settled = [...this.settled]
    return bigger
  }

  // -> whether it changed anything that is seen
  put(index, stateName, worker, agreed) {
    const state = STATES.indexOf(stateName)
    if (!(index >= 0 && index < this.blocks) || state < 0) return false
    const was = this.state[index], before = this.worker[index]
    this.agreed[index] = Math.min(255, agreed)
    if (was === state && before === worker) return false
    this.counts[was]--
    this.counts[state]++
    this.add(before, was, -1)
    this.add(worker, state, 1)
    this.state[index] = state
    this.worker[index] = worker
    return true
  }

  add(worker, state, change) {
    if (worker < 0 || state === WAITING || state >= DISPUTED) return
    this.painted[worker] = (this.painted[worker] ?? 0) + change
    this.settled[worker] = (this.settled[worker] ?? 0) + (state === SETTLED ? change : 0)
  }
}

// palette: {waiting … failed, w0 … w9, ink, surface}; by: 'state' or 'worker'
export function paint(context, grid, cells, palette, by, from, to) {
  const batches = new Map()
  for (let index = from; index < to; index++) {
    const look = lookOf(cells, index, by)
    const batch = batches.get(look)
    if (batch) batch.push(index)
    else batches.set(look, [index])
  }
  for (const [look, indices] of batches) paintAll(context, grid, indices, look, palette)
}

export function paintSome(context, grid, cells, palette, by, indices) {
  const {side, columns} = grid
  for (const index of indices) {
    context.clearRect((index % columns) * side, Math.floor(index / columns) * side, side, side)
    paintAll(context, grid, [index], lookOf(cells, index, by), palette)
  }
}

// A look is a colour's name and how much of it, such as "settled 1" or "w3 0.5".
function lookOf(cells, index, by) {
  const state = cells.state[index], worker = cells.worker[index]
  if (by === 'state' || worker < 0 || state === WAITING || state >= DISPUTED) return STATES[state] + (state === RUNNING ? ' ring' : state >= DISPUTED ? ' cut' : '')
  const colour = `w${worker % HUES}`
  return state === RUNNING ? `${colour} ring` : state === PROVISIONAL ? `${colour} pale` : `${colour} full`
}

function paintAll(context, {side, gap, columns}, indices, look, palette) {
  const [name, how] = look.split(' ')
  const size = side - gap
  context.fillStyle = palette[name]
  context.globalAlpha = how === 'pale' ? 0.55 : 1
  context.beginPath()
  for (const index of indices) context.rect((index % columns) * side, Math.floor(index / columns) * side, size, size)
  context.fill()
  context.globalAlpha = 1
  if (size < 6) return // too small for a shape; the colours differ in lightness
  context.fillStyle = palette.surface
  context.beginPath()
  const edge = Math.max(1.5, size / 6)
  for (const index of indices) {
    const x = (index % columns) * side, y = Math.floor(index / columns) * side
    if (how === 'ring') context.rect(x + edge, y + edge, size - 2 * edge, size - 2 * edge) // under way: hollow
    else if (how === 'cut') { // disputed or failed: a corner is missing
      context.moveTo(x + size, y)
      context.lineTo(x + size, y + size / 2)
      context.lineTo(x + size / 2, y)
    }
  }
  context.fill()
}
