// What the views of the swarm share: figures in words, a button that is at work, and how seldom to look again.

import {el} from './dom.js'
import {bytes, short} from './words.js'

// A panel with its heading; `id` names both for a screen reader.
export const panel = (id, title, ...children) => el('section', {class: 'panel', 'aria-labelledby': `${id}-title`}, el('h2', {id: `${id}-title`}, title), ...children)

export const rate = (count) => (Number.isFinite(count) ? `${bytes(count)}/s` : '–')

// Of an answer over the network.
export function latency(seconds) {
  if (!Number.isFinite(seconds)) return '–'
  if (seconds >= 0.9995) return `${seconds.toFixed(1)} s`
  const ms = seconds * 1000
  return `${ms < 9.95 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`
}

export const credits = (value) => (Number.isFinite(value) ? value.toLocaleString('en', {maximumFractionDigits: Math.abs(value) < 10 ? 3 : 1}) : '–')
export const when = (unix) => (unix ? new Date(unix * 1000).toLocaleString('en-GB', {dateStyle: 'medium', timeStyle: 'short'}) : '–')
export const called = (row) => row.name || short(row.node || row.person || row.owner || '')

// Runs `work` with the button held down; what goes wrong is handed to `tell`.
export async function doing(button, work, tell) {
  if (button.getAttribute('aria-busy') === 'true') return
  button.setAttribute('aria-busy', 'true')
  try {
    await work()
  } catch (error) {
    tell(error)
  } finally {
    button.removeAttribute('aria-busy')
  }
}

// A problem's sentence, and what to do.
export const wordsOf = (error) => [error.message, error.hint].filter(Boolean).join(' ')

// At most one call of `work` in gap() milliseconds, and always one after the last wish.
export function gently(work, gap) {
  let timer = 0
  let last = -Infinity
  const run = () => {
    timer = 0
    last = performance.now()
    work()
  }
  const wish = () => {
    if (!timer) timer = setTimeout(run, Math.max(0, gap() - (performance.now() - last)))
  }
  wish.stop = () => clearTimeout(timer)
  return wish
}
