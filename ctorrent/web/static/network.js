// The Network view: the live map, the peers in words, and what they offer.
import {get, onEvent} from './api.js'
import {el, say} from './dom.js'
import {map, relation, waits} from './map.js'
import {card} from './peer.js'
import {inviting, joining, requests} from './people.js'
import {called, credits, gently, latency, panel, rate} from './parts.js'
import {table} from './table.js'
import {bytes, count, number, percent} from './words.js'

export const title = 'Network'

const MANY = 100 // peers; fewer are drawn as they change
const FEW_MS = 100
const MANY_MS = 1000 // nobody follows more of them faster, and the page keeps its frames
const OFFERS_MS = 2000 // between readings of the offers: they change with every block that begins

export function open(root, args = []) {
  const state = {peers: [], offers: [], closed: false}
  const asks = requests()
  const drawing = map((node) => look(node))
  const list = peers((peer) => look(peer.node))
  const market = offers((offer) => look(offer.node))
  const detail = card(() => state, () => refresh())
  root.append(
    el('div', {class: 'view-head'}, el('h1', {}, 'Network')),
    asks.element,
    el('div', {class: 'network'}, panel('map', 'Who is here', drawing.element), el('div', {class: 'stack'},
      panel('peers', 'Peers', list.element),
      panel('more', 'More machines', el('div', {class: 'two'}, joining('network-join'), inviting('network-invite'))))),
    panel('offers', 'Offers', market.element),
    detail.element,
  )

  function look(node) {
    drawing.mark(node)
    list.mark(node)
    detail.open(node, () => {
      drawing.mark('')
      list.mark('')
    })
  }

  const refresh = gently(async () => {
    const rows = await get('offers').catch(() => null)
    if (!rows || state.closed) return
    state.offers = rows.items ?? rows
    market.show(state.offers)
    detail.update()
  }, () => OFFERS_MS)

  const paint = gently(() => {
    drawing.show(state.peers)
    requestAnimationFrame(() => { // the words in a frame of their own, so that none waits for both
      if (state.closed) return
      list.show(state.peers)
      asks.show(state.peers)
      detail.update()
    })
  }, () => (state.peers.length > MANY ? MANY_MS : FEW_MS))

  const close = onEvent('peers', (event) => {
    state.peers = event.peers
    paint()
    refresh()
  })
  refresh()
  if (args[0]) look(args[0])
  return () => {
    state.closed = true
    close()
    paint.stop()
    refresh.stop()
    detail.close()
  }
}

const KINDS = {friend: '● friend', stranger: '◆ stranger', offline: '✕ not reached'}

function peers(open) {
  const find = el('input', {type: 'search', id: 'peers-find', 'data-filter': true, placeholder: 'name, id or address', autocomplete: 'off'})
  const words = el('p', {class: 'soft', role: 'status'})
  const rows = table([
    {key: 'name', title: 'Name', cell: called, sort: called},
    { key: 'kind', title: 'Whose', cell: (row) => el('span', { class: `kind ${relation(row)}` }, row.wants_friendship ? '◆ asks' : waits(row) ? `${row.connected ? '●' : '✕'} asked` : KINDS[relation(row)]), sort: relation },
    {key: 'latency', title: 'Latency', numeric: true, cell: (row) => latency(row.latency_s), sort: (row) => row.latency_s},
    {key: 'speed', title: 'Throughput', numeric: true, roomy: true, falling: true, cell: (row) => rate(row.bandwidth_bytes_s), sort: (row) => row.bandwidth_bytes_s ?? -1},
  ], {label: 'Peers', key: (row) => row.node, sort: 'latency', open, empty: 'No peer yet. Invite one below, or join one.', height: '18rem'})
  let all = []
  const show = () => {
    const wanted = find.value.trim().toLowerCase()
    const kept = wanted ? all.filter((row) => [row.name, row.node, row.owner, ...row.addresses].some((text) => String(text).toLowerCase().includes(wanted))) : all
    rows.show(kept)
    const reached = all.filter((row) => row.connected).length
    say(words, `${count(reached, 'peer')} connected${all.length > reached ? `, ${number(all.length - reached)} known and not reached` : ''}${wanted ? `; ${number(kept.length)} shown` : ''}`)
  }
  find.addEventListener('input', show)
  return {
    element: el('div', {}, el('label', {for: 'peers-find', class: 'unseen'}, 'Find a peer'), find, words, rows.element),
    mark: rows.mark,
    show(found) {
      all = found
      show()
    },
  }
}

const largest = (row) => Math.max(0, ...row.gpus.map((gpu) => gpu.memory_bytes))

const FILTERS = [
  {id: 'cores', text: 'Cores, at least', keep: (row, value) => row.cores >= value},
  {id: 'gpu', text: 'GPU memory, GB', keep: (row, value) => largest(row) >= value * 10 ** 9}, // a card sold as 24 GB has 25.8
  {id: 'price', text: 'Price, at most', keep: (row, value) => row.friend || row.price <= value, step: 'any'},
  {id: 'trust', text: 'Trust %, at least', keep: (row, value) => row.trust * 100 >= value},
  {id: 'latency', text: 'Latency ms, at most', keep: (row, value) => row.local || (row.latency_s !== null && row.latency_s * 1000 <= value), step: 'any'},
]

function offers(open) {
  const fields = FILTERS.map((filter) => el('input', { type: 'number', min: 0, step: filter.step ?? 1, id: `offer-${filter.id}` }))
  const isolation = el('select', {id: 'offer-isolation'}, ['any', 'docker', 'podman', 'jail'].map((one) => el('option', {value: one}, one)))
  const whose = el('select', {id: 'offer-whose'}, [['all', "everybody's"], ['friends', "friends'"], ['free', 'with free slots']].map(([value, text]) => el('option', {value}, text)))
  const words = el('p', {class: 'soft', role: 'status'})
  const rows = table([
    {key: 'name', title: 'Machine', cell: (row) => (row.local ? 'this machine' : called(row)), sort: (row) => (row.local ? '' : called(row))},
    {key: 'cores', title: 'Cores', numeric: true, falling: true, cell: (row) => number(row.cores), sort: (row) => row.cores},
    { key: 'slots', title: 'Free slots', numeric: true, falling: true, cell: (row) => `${number(row.slots_free)} of ${number(row.slots)}`, sort: (row) => row.slots_free },
    {key: 'gpu', title: 'GPU memory', numeric: true, falling: true, roomy: true, cell: (row) => (row.gpus.length ? row.gpus.map((gpu) => bytes(gpu.memory_bytes)).join(' + ') : '–'), sort: largest},
    {key: 'memory', title: 'Memory', numeric: true, falling: true, roomy: true, cell: (row) => bytes(row.memory_bytes), sort: (row) => row.memory_bytes},
    {key: 'price', title: 'Price', numeric: true, roomy: true, cell: (row) => (row.price ? credits(row.price) : 'free'), sort: (row) => row.price},
    {key: 'isolation', title: 'Isolation', roomy: true, cell: (row) => row.isolation || '–', sort: (row) => row.isolation},
    {key: 'trust', title: 'Trust', numeric: true, falling: true, cell: (row) => percent(row.trust), sort: (row) => row.trust},
    {key: 'latency', title: 'Latency', numeric: true, roomy: true, cell: (row) => (row.local ? 'here' : row.connected ? latency(row.latency_s) : 'not reached'), sort: (row) => (row.local ? 0 : row.latency_s)},
  ], {label: 'Offers', key: (row) => row.node, sort: 'cores', descending: true, open, empty: 'No machine offers that. Ask for less above.'})
  let all = []
  const show = () => {
    const wanted = FILTERS.map((filter, at) => [filter, fields[at].value]).filter(([, value]) => value !== '')
    const kept = all.filter((row) => wanted.every(([filter, value]) => filter.keep(row, Number(value)))
      && (isolation.value === 'any' || row.isolation === isolation.value)
      && (whose.value === 'all' || (whose.value === 'friends' ? row.friend : row.slots_free > 0)))
    rows.show(kept)
    say(words, `${number(kept.length)} of ${count(all.length, 'machine')}. Price: credits that strangers pay for an hour of a reference core. Trust: how surely its answers are right, by the votes known here.`)
  }
  const form = el('form', {class: 'filters', 'aria-label': 'Filter the offers'},
    FILTERS.map((filter, at) => el('label', { for: `offer-${filter.id}` }, filter.text, fields[at])),
    el('label', {for: 'offer-isolation'}, 'Isolation', isolation), el('label', {for: 'offer-whose'}, 'Whose', whose), el('button', {type: 'reset'}, 'Clear'))
  form.addEventListener('input', show)
  form.addEventListener('submit', (event) => event.preventDefault())
  form.addEventListener('reset', () => setTimeout(show))
  return {
    element: el('div', {}, form, words, rows.element),
    show(found) {
      all = found
      show()
    },
  }
}
