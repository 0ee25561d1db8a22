// The page's head: what the machines that may be asked have together, and how much of it is free.

import {onEvent} from './api.js'
import {el, fill, say} from './dom.js'
import {bytes, count, number} from './words.js'

const NOT_ONE = 'Added up over machines. A program uses the memory of one GPU at a time: pooled VRAM is not one device.'

// [what, figure] of each figure that is shown; nothing is said of what nobody has.
export function figures(pool) {
  return [
    ['machines', count(pool.machines, 'machine')],
    ['cores', count(pool.cores, 'core')],
    ['memory', `${bytes(pool.memory_bytes)} RAM`],
    pool.gpus ? ['vram', `${bytes(pool.gpu_memory_bytes)} VRAM`] : null,
    ['disk', `${bytes(pool.disk_bytes)} disk`],
  ].filter(Boolean)
}

export function free(pool) {
  if (!pool.slots) return 'nothing is shared'
  if (!pool.slots_free) return `all ${number(pool.slots)} slots at work`
  return `${number(pool.slots_free)} of ${count(pool.slots, 'slot')} free`
}

export function start(root) {
  const list = el('ul', {class: 'pool-figures'})
  const bar = el('span', {class: 'pool-bar', 'aria-hidden': 'true'}, el('span'))
  const words = el('span')
  root.append(el('div', {class: 'pool', role: 'group', 'aria-label': 'The pool: this machine and those that would work for you', hidden: true},
    list, el('span', {class: 'pool-free'}, bar, words)))
  const shown = new Map()
  onEvent('pool', ({pool}) => {
    root.firstElementChild.hidden = false
    const wanted = figures(pool)
    if (wanted.map(([what]) => what).join() !== [...shown.keys()].join()) {
      shown.clear()
      fill(list, wanted.map(([what]) => {
        const text = el('span')
        shown.set(what, text)
        return el('li', {data: {figure: what}}, text, what === 'vram' && note())
      }))
    }
    for (const [what, figure] of wanted) say(shown.get(what), figure)
    bar.firstElementChild.style.width = `${(100 * pool.slots_free) / Math.max(1, pool.slots)}%`
    say(words, free(pool))
  })
}

// On hover, on focus, and to a screen reader.
function note() {
  return el('span', {class: 'hint-holder'},
    el('button', {type: 'button', class: 'hint-mark', 'aria-label': 'About pooled VRAM', 'aria-describedby': 'vram-note'}, '?'),
    el('span', {class: 'hint-text', role: 'tooltip', id: 'vram-note'}, NOT_ONE))
}
