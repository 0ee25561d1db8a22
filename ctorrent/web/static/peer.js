// A peer's card: who it is, how it is reached, what it lends, and whether it is a friend.
import {el, fill} from './dom.js'
import {relation, waits} from './map.js'
import {friendship} from './people.js'
import {called, credits, latency, rate} from './parts.js'
import {bytes, count, number, percent} from './words.js'

const HOW = {join: 'joined by address or invite', mdns: 'found nearby, in this network', dht: 'found in the peer directory', 'last time': 'known from last time', inbound: 'it came to us'}
const WHOSE = {friend: "a friend's", stranger: "a stranger's", offline: 'not reached now'}

// state(): {peers, offers} as they are now; changed(): called when a friendship did. -> {element, open(node, closed), update, close}
export function card(state, changed) {
  const inside = el('div', {class: 'peer-card'})
  const element = el('dialog', {class: 'ask card', 'aria-labelledby': 'peer-title'}, inside)
  let shown = ''
  let looks = ''
  let closed = () => {}
  element.addEventListener('close', () => {
    shown = ''
    closed()
  })
  element.addEventListener('click', (event) => event.target === element && element.close()) // beside the card

  function update() {
    if (!shown) return
    const peer = state().peers.find((one) => one.node === shown)
    const offer = state().offers.find((one) => one.node === shown)
    const now = JSON.stringify([peer, offer])
    if (now === looks) return
    looks = now
    const at = document.activeElement?.dataset?.focus
    fill(inside, content(peer, offer, element, () => {
      looks = ''
      changed()
      update()
    }))
    if (at) inside.querySelector(`[data-focus='${at}']`)?.focus()
  }

  return {
    element,
    update,
    open(node, then = () => {}) {
      shown = node
      closed = then
      looks = ''
      update()
      if (!element.open) element.showModal()
    },
    close() {
      if (element.open) element.close()
    },
  }
}

function content(peer, offer, dialog, changed) {
  const any = peer ?? offer
  const head = el('div', {class: 'row spread'}, el('h2', {id: 'peer-title'}, any ? (offer?.local ? 'This machine' : called(any)) : 'Gone'), el('button', {type: 'button', 'data-focus': 'close', 'aria-label': 'Close', class: 'icon', onclick: () => dialog.close()}, '✕'))
  if (!any) return [head, el('p', {}, 'It is not known here any more.')]
  const facts = [
    ['Whose', peer ? WHOSE[relation(peer)] + (peer.wants_friendship ? ', asks to be a friend' : waits(peer) ? ', asked and has not accepted yet' : '') : null],
    ['Met', peer ? HOW[peer.how] ?? peer.how : null],
    ['Latency', peer ? latency(peer.latency_s) : null],
    ['Throughput', peer ? rate(peer.bandwidth_bytes_s) : null],
    ['Version', peer?.version || null],
    ...lent(offer),
    ['Node', el('code', {}, any.node)],
    ['Owner', any.owner ? el('code', {}, any.owner) : 'not said'],
  ].filter(([, value]) => value !== null)
  return [
    head,
    el('dl', {class: 'facts'}, facts.map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
    peer?.addresses.length ? el('details', {}, el('summary', {}, count(peer.addresses.length, 'address', 'addresses')), el('ul', {class: 'addresses'}, peer.addresses.map((one) => el('li', {}, el('code', {}, one))))) : null,
    el('div', {class: 'buttons'}, peer ? friendship(peer, changed) : null, offer?.local ? null : el('a', { class: 'button', href: `#/trust/${encodeURIComponent(any.node)}`, onclick: () => dialog.close() }, 'Why trust it')),
  ].filter(Boolean)
}

function lent(offer) {
  if (!offer) return []
  return [
    ['Cores', `${number(offer.cores)}; ${number(offer.slots_free)} of ${count(offer.slots, 'slot')} free`],
    ['Memory lent', bytes(offer.memory_bytes)],
    ['Disk lent', bytes(offer.disk_bytes)],
    ['GPUs', offer.gpus.length ? offer.gpus.map((gpu) => `${gpu.name} ${bytes(gpu.memory_bytes)}`).join(', ') : 'none'],
    ['Isolation', offer.isolation || 'none'],
    ['Price', offer.price ? `${credits(offer.price)} ${offer.price === 1 ? 'credit' : 'credits'} for a core-hour` : 'free'],
    ['Speed', offer.gflops ? `${number(offer.gflops)} GFLOP/s, as it claims` : 'not measured'],
    ['Trust', percent(offer.trust)],
  ]
}

