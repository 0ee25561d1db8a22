// The live map: this machine in the middle, the others around it, nearer the sooner they answer, on lines as thick as
// what travels on them. Whose they are is told by their shape as well: a disc is a friend's, a diamond a stranger's,
// a cross is not reached.
import {el, say, svg} from './dom.js'
import {called, latency, rate} from './parts.js'
import {count} from './words.js'

const SIZE = 600 // of the drawing; the page scales it
const MIDDLE = SIZE / 2
const EDGE = 90 // nearer to it, a name of eighteen letters would be cut: it begins or ends at its mark
const NEAR = 70
const FAR = 250
const LOST = 266 // where those without a latency are: with the name below it inside the drawing
const RINGS_S = [0.001, 0.01, 0.1, 1]
const NAMES_MAX = 24 // beyond, names would lie over one another: hover and the list tell them

// A friend here whose person has not made this one a friend there yet.
export const waits = (peer) => peer.friend && peer.accepted === false

export const relation = (peer) => (!peer.connected ? 'offline' : peer.friend ? 'friend' : 'stranger')

// How far from the middle a latency lies: each ring is ten times the one before.
export function radius(seconds) {
  if (!Number.isFinite(seconds)) return LOST
  const place = (Math.log10(Math.min(1, Math.max(0.0005, seconds))) - Math.log10(0.0005)) / -Math.log10(0.0005)
  return NEAR + place * (FAR - NEAR)
}

// Thickness of a line: 1 px below 100 KB/s, one more for each ten times as much.
export const thickness = (speed) => (Number.isFinite(speed) && speed > 0 ? Math.min(6, Math.max(1, Math.log10(speed) - 4)) : 1)

// A number in 0..1 that is a node's own, so that it stays where it is while others come and go.
function place(id) {
  let hash = 2166136261
  for (let at = 0; at < id.length; at += 1) hash = Math.imul(hash ^ id.charCodeAt(at), 16777619)
  return (hash >>> 0) / 4294967296
}

function positions(peers) {
  const order = [...peers].sort((a, b) => place(a.node) - place(b.node))
  return new Map(order.map((peer, at) => {
    const angle = 2 * Math.PI * ((at + 0.5) / order.length) - Math.PI / 2
    const far = radius(peer.connected ? peer.latency_s : null)
    return [peer.node, [MIDDLE + far * Math.cos(angle), MIDDLE + far * Math.sin(angle)]]
  }))
}

const SHAPES = {
  friend: (x, y, r) => `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  stranger: (x, y, r) => `M${x},${y - r * 1.25}l${r * 1.25},${r * 1.25}l${-r * 1.25},${r * 1.25}l${-r * 1.25},${-r * 1.25}Z`,
  offline: (x, y, r) => `M${x - r},${y - r}l${2 * r},${2 * r}m${-2 * r},0l${2 * r},${-2 * r}`,
}

// -> {element, show(peers), mark(node)}; pick(node) is called for the one that was clicked.
export function map(pick) {
  const rings = svg('g', {class: 'map-rings'}, RINGS_S.map(ring))
  const lines = svg('g', {class: 'map-lines'})
  const nodes = svg('g', {class: 'map-nodes'})
  const title = svg('title', {id: 'map-title'})
  const middle = svg('g', {class: 'map-me'}, svg('rect', {x: MIDDLE - 13, y: MIDDLE - 13, width: 26, height: 26, rx: 5}), svg('text', {x: MIDDLE, y: MIDDLE + 30}, 'this machine'))
  const drawing = svg('svg', { viewBox: `0 0 ${SIZE} ${SIZE}`, class: 'peer-map', role: 'img', 'aria-labelledby': 'map-title' }, title, rings, lines, nodes, middle)
  const drawn = new Map()
  let marked = ''
  drawing.addEventListener('click', (event) => {
    const node = event.target.closest?.('[data-node]')?.dataset.node
    if (node) pick(node)
  })

  function show(peers) {
    const where = positions(peers)
    const few = peers.length <= NAMES_MAX
    const size = peers.length <= 60 ? 9 : peers.length <= 200 ? 6 : 4
    drawing.classList.toggle('map-crowded', !few)
    for (const [id, one] of drawn) {
      if (where.has(id)) continue
      one.line.remove()
      one.group.remove()
      drawn.delete(id)
    }
    for (const peer of peers) update(peer, where.get(peer.node), size, few)
    say(title, summary(peers))
  }

  function update(peer, [x, y], size, few) {
    let one = drawn.get(peer.node)
    if (!one) {
      one = fresh(peer.node)
      drawn.set(peer.node, one)
      lines.append(one.line)
      nodes.append(one.group)
    }
    one.peer = peer
    const kind = relation(peer)
    const thick = kind === 'offline' ? 1 : Math.round(2 * thickness(peer.bandwidth_bytes_s)) / 2
    const [left, top] = [Math.round(x), Math.round(y)]
    change(one, 'looks', `${kind} ${size}`, () => {
      one.group.setAttribute('class', `map-node ${kind}${peer.node === marked ? ' marked' : ''}`)
      one.hit.setAttribute('r', Math.max(12, size * 1.6))
      one.line.setAttribute('class', kind)
    })
    // No `transform`: the browser sorts what has one of its own anew into layers with each frame, wherever on the page it draws.
    change(one, 'place', `${left},${top} ${kind} ${size}`, () => {
      one.shape.setAttribute('d', SHAPES[kind](left, top, size))
      set(one.hit, {cx: left, cy: top})
      set(one.name, {x: left, y: top + (top > MIDDLE ? size + 18 : -size - 6)})
      set(one.line, {x2: left, y2: top})
    })
    change(one, 'thick', thick, () => one.line.setAttribute('stroke-width', thick))
    change(one, 'called', few ? called(peer).slice(0, 18) : '', (text) => say(one.name, text))
    change(one, 'anchor', x < EDGE ? 'start' : x > SIZE - EDGE ? 'end' : 'middle', (anchor) => { one.name.style.textAnchor = anchor })
  }

  // Written when somebody points at it: five hundred of them with every event would cost more than the drawing.
  drawing.addEventListener('pointerover', (event) => {
    const one = drawn.get(event.target.closest?.('[data-node]')?.dataset.node)
    if (one) say(one.tip, `${called(one.peer)}: ${relation(one.peer)}, ${latency(one.peer.latency_s)}, ${rate(one.peer.bandwidth_bytes_s)}`)
  })

  return {
    element: el('div', {class: 'map-frame'}, drawing, legend()),
    show,
    mark(node) {
      drawn.get(marked)?.group.classList.remove('marked')
      marked = node
      drawn.get(node)?.group.classList.add('marked')
    },
  }
}

// Touches the drawing only where a peer looks otherwise than it did.
function change(one, what, value, write) {
  if (one[what] === value) return
  one[what] = value
  write(value)
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
}

function fresh(node) {
  const shape = svg('path')
  const hit = svg('circle', {class: 'map-hit'})
  const tip = svg('title')
  const name = svg('text')
  return {
    line: svg('line', {x1: MIDDLE, y1: MIDDLE}), shape, hit, tip, name,
    group: svg('g', {'data-node': node}, tip, hit, shape, name),
  }
}

function ring(seconds) {
  const r = radius(seconds)
  return [svg('circle', {cx: MIDDLE, cy: MIDDLE, r}), svg('text', {x: MIDDLE, y: MIDDLE - r - 3}, latency(seconds))]
}

function summary(peers) {
  const of = (kind) => peers.filter((peer) => relation(peer) === kind).length
  return `This machine and ${count(peers.length, 'peer')}: ${of('friend')} of friends, ${of('stranger')} of strangers, ${of('offline')} not reached. The list says the same in words.`
}

function legend() {
  const one = (kind, text) => el('li', {}, svg('svg', { viewBox: '-12 -12 24 24', class: `map-key map-node ${kind}`, 'aria-hidden': 'true' }, svg('path', {d: SHAPES[kind](0, 0, 8)})), text)
  return el('ul', {class: 'map-legend'}, one('friend', 'friend'), one('stranger', 'stranger'), one('offline', 'not reached'), el('li', {}, 'nearer: answers sooner'), el('li', {}, 'thicker line: more bytes a second'))
}
