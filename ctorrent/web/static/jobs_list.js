// All jobs of this node, newest first, as they go on.

import {advice} from './advice.js'
import {complain, get, listOf, onEvent} from './api.js'
import {add, el, fill, say} from './dom.js'
import {Bar, OVER, pathOf, pill, progressWords, timeWords} from './job_words.js'
import {ago, number} from './words.js'

const PAGE = 50 // jobs asked for at once: more than a screen
const BUSY = /^(looking|waiting) for workers/ // what comes by itself; another reason stays until its person does something
const needsMe = (job) => job.state === 'paused' || job.state === 'failed' || job.disputed > 0 || (!OVER.has(job.state) && Boolean(job.reason) && !BUSY.test(job.reason))
const FILTERS = [['all', () => true], ['open', (job) => !OVER.has(job.state)], ['ended', (job) => OVER.has(job.state)], ['needs me', needsMe]]

export class JobList {
  constructor(root) {
    Object.assign(this, {jobs: new Map(), rows: new Map(), next: null, beyond: 0, filter: 0, text: '', closed: false, loaded: false, frame: 0})
    this.search = el('input', {type: 'search', placeholder: 'Filter by name or state', 'aria-label': 'Filter jobs by name or state', 'data-filter': true, oninput: () => { this.text = this.search.value.trim().toLowerCase(); this.arrange() }})
    this.tabs = FILTERS.map(([name], n) => el('button', {type: 'button', 'aria-pressed': String(n === 0), onclick: () => this.choose(n)}, name))
    this.list = el('ol', {class: 'jobs', 'aria-label': 'Jobs'})
    this.foot = el('div', {class: 'row'})
    this.tools = el('div', {class: 'row spread', hidden: true}, el('div', {class: 'tabs', role: 'group', 'aria-label': 'Which jobs'}, this.tabs), this.search)
    add(root,
      el('div', {class: 'view-head'}, el('h1', {}, 'Jobs'), this.count = el('span', {class: 'soft num'}), el('div', {class: 'row'}, el('a', {class: 'button main', href: '#/jobs/new'}, 'New job'))),
      this.tools, this.list, this.foot)
    this.stops = [onEvent('job', ({job}) => this.came(job)), onEvent('gone', ({job}) => this.gone(job))]
    this.clock = setInterval(() => this.draw(), 5000) // "3 min ago" moves on
    this.more()
  }

  close() {
    this.closed = true
    clearInterval(this.clock)
    cancelAnimationFrame(this.frame)
    this.stops.forEach((stop) => stop())
  }

  async more() {
    try {
      const answer = await get(`jobs?limit=${PAGE}${this.next ? `&after=${encodeURIComponent(this.next)}` : ''}`)
      if (this.closed) return
      const found = listOf(answer)
      for (const job of found) if (!this.jobs.has(job.job)) this.jobs.set(job.job, job)
      this.next = Array.isArray(answer) ? null : answer.next ?? null
      this.beyond = answer.total === undefined ? null : Math.max(0, answer.total - this.jobs.size)
      this.loaded = true
      this.arrange()
    } catch (error) {
      if (!this.closed) complain(error)
    }
  }

  came(job) {
    const known = this.jobs.has(job.job)
    if (!known && this.beyond && job.submitted_unix < this.jobs.get(this.next)?.submitted_unix) this.beyond-- // one of those, before its page
    this.jobs.set(job.job, job)
    if (!this.loaded) return
    if (known && this.rows.has(job.job)) this.draw()
    else this.arrange()
  }

  gone(name) {
    if (!this.jobs.delete(name) && this.beyond) this.beyond--
    this.arrange()
  }

  choose(n) {
    this.filter = n
    this.tabs.forEach((tab, at) => tab.setAttribute('aria-pressed', String(at === n)))
    this.arrange()
  }

  wanted(job) {
    return FILTERS[this.filter][1](job) && (!this.text || `${job.name} ${job.job} ${job.state}`.toLowerCase().includes(this.text))
  }

  // The rows there are to be, in order; those that stay are not made anew, so that focus stays too.
  arrange() {
    if (this.closed || !this.loaded) return
    const all = [...this.jobs.values()].sort((a, b) => b.submitted_unix - a.submitted_unix || (a.job < b.job ? 1 : -1))
    const shown = (this.text ? all : newestOfSeries(all)).filter((job) => this.wanted(job))
    this.tools.hidden = !this.jobs.size
    const names = new Set(shown.map((job) => job.job))
    for (const [name, row] of this.rows) if (!names.has(name)) { row.element.remove(); this.rows.delete(name) }
    let before = this.list.firstElementChild
    for (const job of shown) {
      let row = this.rows.get(job.job)
      if (!row) this.rows.set(job.job, row = new Row(job))
      if (row.element === before) before = before.nextElementSibling
      else this.list.insertBefore(row.element, before)
      row.update(job)
    }
    this.around(shown.length)
  }

  around(shown) {
    say(this.count, !this.jobs.size ? '' : !this.next ? number(this.jobs.size) : this.beyond === null ? `${number(this.jobs.size)}+` : number(this.jobs.size + this.beyond))
    fill(this.foot, this.next && el('button', {type: 'button', onclick: () => this.more()}, 'Show older jobs'),
      !this.jobs.size ? teaching() : !shown && el('p', {class: 'soft'}, 'No job here is like that. ', el('button', {type: 'button', class: 'quiet', onclick: () => { this.search.value = this.text = ''; this.choose(0) }}, 'Show all')))
  }

  draw() {
    if (this.frame || this.closed) return
    this.frame = requestAnimationFrame(() => {
      this.frame = 0
      for (const [name, row] of this.rows) row.update(this.jobs.get(name))
    })
  }
}

// Of a training's epochs ("softmax iris.csv 3/12") that went well, the newest stands for all, as with ?series=last; a search finds each.
function newestOfSeries(jobs) {
  const most = new Map()
  return jobs.filter((job) => {
    const part = /^(.+) (\d{1,6})\/(\d{1,6})$/.exec(job.name ?? '')
    if (!part) return true
    const series = `${part[1]}/${part[3]}`, number = Number(part[2]), newer = most.get(series) ?? 0
    most.set(series, Math.max(number, newer))
    return number >= newer || job.state !== 'settled'
  })
}

class Row {
  constructor(job) {
    this.bar = new Bar('')
    this.link = el('a', {href: `#/${pathOf(job.job)}`, 'data-row': true})
    this.pill = el('span')
    this.element = el('li', {class: 'job'},
      el('div', {class: 'job-name'}, this.link, el('span', {class: 'soft mono'}, job.job)),
      el('div', {class: 'job-state'}, this.pill),
      el('div', {class: 'job-progress'}, this.bar.element, this.progress = el('span', {class: 'soft num'})),
      el('div', {class: 'job-time num'}, this.time = el('span'), this.when = el('span', {class: 'soft'})),
      this.notes = el('p', {class: 'job-notes soft', hidden: true}))
  }

  update(job) {
    say(this.link, job.name || 'job')
    if (this.state !== job.state) { this.state = job.state; fill(this.pill, pill(job.state)) }
    this.bar.element.setAttribute('aria-label', `Progress of ${job.name || job.job}`)
    this.bar.update(job)
    say(this.progress, progressWords(job))
    say(this.time, timeWords(job))
    say(this.when, ago(job.submitted_unix))
    const notes = [advice(job.reason), ...(job.notes ?? [])].filter(Boolean)
    this.notes.hidden = !notes.length
    this.notes.classList.toggle('alarm', job.state === 'paused' || job.state === 'failed')
    say(this.notes, notes.length > 1 ? `${notes[0]} (and ${notes.length - 1} more)` : notes[0] ?? '')
  }
}

function teaching() {
  return el('div', {class: 'empty'}, el('h2', {}, 'No job yet'),
    el('p', {class: 'soft'}, 'A job is one function, run many times on different inputs. Machines of others compute its blocks; answers of two must agree.'),
    el('ol', {class: 'steps'},
      el('li', {}, 'Write a function: ', el('code', {}, 'def run(index): return {"y": index * index}')),
      el('li', {}, 'Say what it runs on: so many blocks, a grid of values, or a list.'),
      el('li', {}, 'One block is tried here first; then the others get theirs.')),
    el('p', {}, el('a', {class: 'button main', href: '#/jobs/new'}, 'Make the first job')),
    el('p', {class: 'soft'}, 'From a terminal: ', el('code', {}, 'ctorrent init digits'), ', then ', el('code', {}, 'ctorrent submit job.yaml'), '. It shows up here.'))
}
