// A job's status in words, elements that show it, and the calls that change it.

import {complain, post, toast} from './api.js'
import {ask, el} from './dom.js'
import {count, duration, number} from './words.js'

export const STATE_KIND = {waiting: '', running: 'info', paused: 'warn', settled: 'good', failed: 'bad', cancelled: ''}
export const OVER = new Set(['settled', 'failed', 'cancelled'])

export const pathOf = (job, rest = '') => `jobs/${encodeURIComponent(job)}${rest && '/' + rest}`

export function pill(state) {
  return el('span', {class: `pill ${STATE_KIND[state] ?? ''}`}, state)
}

export const doneOf = (job) => job.settled + job.provisional + job.failed + job.disputed

// "1,204 of 4,000 blocks", "4,000 blocks settled"
export function progressWords(job) {
  const done = doneOf(job)
  if (job.blocks && done >= job.blocks && OVER.has(job.state)) {
    const parts = ['settled', 'provisional', 'failed', 'disputed'].filter((name) => job[name]).map((name) => `${number(job[name])} ${name}`)
    return `${count(job.blocks, 'block')}: ${parts.join(', ')}`
  }
  return `${number(done)} of ${count(job.blocks, 'block')}`
}

export function timeWords(job) {
  if (OVER.has(job.state)) return `took ${duration(job.elapsed_s)}`
  if (job.state === 'paused') return `paused after ${duration(job.elapsed_s)}`
  if (job.eta_s !== null && job.eta_s !== undefined) return `about ${duration(Math.max(1, Math.round(job.eta_s)))} left`
  return doneOf(job) || job.running ? `${duration(job.elapsed_s)} so far` : 'not begun'
}

// One bar of stacked states; update() moves it without new elements.
export class Bar {
  constructor(label) {
    this.parts = Object.fromEntries(['settled', 'provisional', 'disputed', 'failed', 'running'].map((name) => [name, el('i', {class: `swatch ${name}`})]))
    this.element = el('div', {class: 'meter', role: 'progressbar', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100}, Object.values(this.parts))
  }

  update(job) {
    for (const [name, part] of Object.entries(this.parts)) {
      part.hidden = !job[name]
      part.style.width = `${job.blocks ? (100 * job[name]) / job.blocks : 0}%`
    }
    this.element.setAttribute('aria-valuenow', job.blocks ? Math.floor((100 * doneOf(job)) / job.blocks) : 0)
    this.element.setAttribute('aria-valuetext', progressWords(job))
  }
}

// -- what a person can do about a job ----------------------------------------------------------------------------------

export async function act(job, what, then) {
  if (what === 'cancel' && !(await ask(`Cancel ${job.name || job.job}?`, {
    detail: `${progressWords(job)}. Blocks that are done keep their results; the rest is never run, and it cannot be taken up again.`, yes: 'Cancel the job', no: 'Keep it', grave: true}))) return
  try {
    const answer = await post(pathOf(job.job, what), {})
    if (what === 'retry') {
      const name = answer?.job ?? answer
      toast(`Submitted once more, as ${name}.`, {kind: 'good'})
      location.hash = `#/jobs/${name}`
    } else toast({pause: 'Paused. Blocks that run now are finished.', resume: 'It goes on.', cancel: 'Cancelled.'}[what], {kind: 'good'})
    await then?.(answer)
  } catch (error) {
    complain(error)
  }
}
