// One job: how far it is, who computes what, what came of it, and what its person can do.

import {advice} from './advice.js'
import {complain, get, onEvent} from './api.js'
import {add, announce, el, fill, say} from './dom.js'
import {fileName, offer} from './job_download.js'
import {Logs} from './job_logs.js'
import {BlockMap, rowOf} from './job_map.js'
import {aboutPart, disputesPart, whyPart, workersPart} from './job_parts.js'
import {Results} from './job_results.js'
import {inline, whole} from './job_values.js'
import {act, Bar, OVER, pathOf, pill, progressWords, timeWords} from './job_words.js'
import {ago, duration, number, short} from './words.js'

const PARTS = [['workers', 'Workers'], ['results', 'Results'], ['log', 'Log'], ['disputes', 'Disputes'], ['why', 'Why'], ['about', 'About']]
const REPORT_MS = 2000 // between two looks at what only a whole status has: disputes, the report

export class JobPage {
  constructor(root, name, part) {
    Object.assign(this, {root, name, closed: false, job: null, part: null, parts: {}, chosen: PARTS.some(([one]) => one === part) ? part : '', reported: 0})
    this.begin()
  }

  async begin() {
    let early = null // what happens while its status is on its way: the stream says each state once
    this.stops = [onEvent('job', ({job}) => this.job ? job.job === this.name && this.came(job) : job.job.startsWith(this.name) && (early = job)), onEvent('gone', ({job}) => this.job && job === this.name && this.gone())]
    try {
      const found = await get(pathOf(this.name))
      if (this.closed) return
      this.job = early?.job === found.job ? {...found, ...early} : found
    } catch (error) {
      if (!this.closed && error.status !== 401) this.none(error)
      return
    }
    this.name = this.job.job
    document.title = `${this.job.name || this.job.job} · ComputeTorrent`
    this.build()
    this.update(this.job)
    this.map.update().catch(complain)
    this.clock = setInterval(() => this.tick(), 1000)
    this.byHand = Boolean(this.chosen)
    this.choose(this.chosen || this.fitting())
  }

  close() {
    this.closed = true
    clearInterval(this.clock)
    clearTimeout(this.later)
    this.stops?.forEach((stop) => stop())
    this.map?.close()
    for (const part of Object.values(this.parts)) part.close?.()
  }

  none(error) {
    add(this.root, el('div', {class: 'empty'}, el('h1', {}, error.status === 404 ? 'No such job here' : 'This job cannot be shown'), el('p', {}, error.message), error.hint && el('p', {class: 'soft'}, error.hint),
      el('p', {}, el('a', {class: 'button', href: '#/jobs'}, 'All jobs'))))
  }

  build() {
    this.map = new BlockMap(this.name, (index) => this.pick(index))
    this.bar = new Bar('Progress')
    this.tabs = PARTS.map(([id, title]) => el('button', {type: 'button', role: 'tab', id: `tab-${id}`, 'aria-controls': 'part', 'aria-selected': 'false', tabindex: '-1', onclick: () => this.choose(id, true), onkeydown: (event) => this.tabKey(event, id)}, title))
    this.panel = el('div', {id: 'part', role: 'tabpanel', class: 'panel', tabindex: '-1'})
    this.block = el('section', {class: 'panel block-detail', hidden: true, 'aria-label': 'One block', tabindex: '-1'})
    this.answer = el('section', {class: 'panel', hidden: true, 'aria-labelledby': 'answer-title'})
    add(this.root,
      el('div', {class: 'view-head'}, el('a', {class: 'back', href: '#/jobs', 'aria-label': 'All jobs'}, '←'),
        el('h1', {}, this.job.name || 'job'), el('code', {class: 'soft'}, this.job.job), this.pill = el('span', {role: 'status'}), this.actions = el('div', {class: 'row'})),
      el('div', {class: 'panel'}, this.bar.element, el('div', {class: 'row spread progress-line num'}, this.progress = el('b'), this.time = el('span'), this.when = el('span', {class: 'soft'}))),
      this.notes = el('div', {class: 'stack'}),
      this.answer, this.map.element, this.block,
      el('div', {class: 'tabs', role: 'tablist', 'aria-label': 'About this job'}, this.tabs), this.panel)
  }

  // -- what changes ----------------------------------------------------------------------------------------------------

  came(job) {
    const was = this.job
    this.job = {...was, ...job, report: job.report ?? was.report}
    this.update(this.job)
    this.map.update().catch(complain)
    this.parts.results?.update(this.job)
    this.parts[this.part]?.update?.(this.job)
    if (was.state !== job.state) {
      announce(`The job is ${job.state}. ${advice(job.reason)}`)
      if (!this.byHand && !this.panel.contains(document.activeElement)) this.choose(this.fitting())
    }
    if (was.state !== job.state || was.disputed !== job.disputed || (OVER.has(job.state) && !this.job.report)) this.report()
  }

  gone() {
    fill(this.notes, el('div', {class: 'note warn'}, 'This job was removed from the node’s journal.'))
    fill(this.actions)
  }

  // The whole status, not oftener than REPORT_MS.
  report() {
    if (this.later) return
    this.later = setTimeout(async () => {
      this.later = 0
      this.reported = Date.now()
      try {
        const whole_ = await get(pathOf(this.name))
        if (this.closed) return
        this.job = whole_
        this.update(whole_)
        this.parts[this.part]?.update?.(whole_)
      } catch (error) {
        if (!this.closed) complain(error)
      }
    }, Math.max(0, this.reported + REPORT_MS - Date.now()))
  }

  update(job) {
    if (this.state !== job.state) {
      this.state = job.state
      fill(this.pill, pill(job.state))
      this.acts(job)
      if (OVER.has(job.state)) this.answered()
    }
    this.bar.update(job)
    say(this.progress, progressWords(job))
    this.since = performance.now()
    this.tick()
    const report = job.report
    const speed = report?.speedup >= 0.1 && OVER.has(job.state) ? `, ${report.speedup.toFixed(report.speedup < 10 ? 1 : 0)} × one core` : ''
    say(this.when, `${job.replicas_wanted > 1 ? `${number(job.replicas_done)} replicas` : 'one replica each'}${speed} · submitted ${ago(job.submitted_unix)}`)
    this.noted(job)
    const disputes = Math.max(job.disputed, report?.disputes_total ?? 0)
    say(this.tabs[3], disputes ? `Disputes ${number(disputes)}` : 'Disputes')
    say(this.tabs[0], job.workers?.length ? `Workers ${job.workers.length}` : 'Workers')
  }

  // Between two events the clock goes on.
  tick() {
    const running = this.job.state === 'running' ? (performance.now() - this.since) / 1000 : 0
    const eta = this.job.eta_s
    say(this.time, timeWords({...this.job, elapsed_s: this.job.elapsed_s + running, eta_s: eta === null || eta === undefined ? eta : Math.max(0, eta - running)}))
  }

  noted(job) {
    const found = []
    if (job.reason) found.push([advice(job.reason), job.state === 'failed' ? 'bad' : 'warn'])
    for (const words of job.notes ?? []) found.push([words, ''])
    for (const failure of (job.failures ?? []).slice(0, 3)) found.push([`Block ${failure.index} failed: ${failure.words}`, 'bad'])
    const key = JSON.stringify(found)
    if (key === this.noteKey) return
    this.noteKey = key
    fill(this.notes, found.slice(0, 8).map(([words, kind]) => el('div', {class: `note ${kind}`}, words, /in the Guide/.test(words) && [' ', el('a', {href: '#/guide'}, 'Open the guide')])))
    this.notes.hidden = !found.length
  }

  acts(job) {
    const button = (what, words, kind = '') => el('button', {type: 'button', class: kind, onclick: (event) => this.do(what, event.currentTarget)}, words)
    const open = !OVER.has(job.state)
    fill(this.actions,
      open && (job.state === 'paused' ? button('resume', 'Resume', 'main') : button('pause', 'Pause')),
      open && button('cancel', 'Cancel'),
      !open && button('retry', 'Run again'),
      !open && el('button', {type: 'button', onclick: (event) => this.receipt(event.currentTarget), title: 'One signed file: ctorrent verify reads it, offline'}, 'Receipt'))
  }

  async do(what, button) {
    button.disabled = true
    await act(this.job, what, () => this.report())
    button.disabled = false
  }

  async receipt(button) {
    button.disabled = true
    try {
      const answer = await fetch(`/api/v1/${pathOf(this.name, 'receipt')}`, {credentials: 'same-origin'})
      if (!answer.ok) { const said = await answer.json().catch(() => ({})); throw Object.assign(new Error(said.detail ?? `The node answered ${answer.status}.`), {hint: said.hint}) }
      offer(await answer.blob(), `${fileName(this.job.name)}-${this.name}.receipt`)
    } catch (error) {
      complain(error)
    } finally {
      button.disabled = false
    }
  }

  async answered() {
    try {
      const found = await get(pathOf(this.name, 'answer'))
      if (this.closed || (found.value === undefined && this.job.state !== 'settled')) return
      const {value} = found
      this.answer.hidden = false
      fill(this.answer, el('h2', {id: 'answer-title'}, 'Answer', found.reduce && el('span', {class: 'soft'}, ` ${inline(found.reduce, 60)}`)), value !== undefined ? whole(value, 'answer') : el('p', {class: 'soft'}, `${advice(found.why ?? 'None.')} Every row is in the results below.`))
    } catch (error) {
      if (!this.closed) complain(error)
    }
  }

  // -- one block -------------------------------------------------------------------------------------------------------

  async pick(index) {
    const mine = (this.picked = index)
    try {
      const row = await rowOf(this.name, index)
      if (this.closed || this.picked !== mine || !row) return
      const facts = [['state', row.state], ['params', inline(row.params, 1000)], ['seed', String(row.seed?.$int ?? row.seed)], ['computed by', (row.workers ?? []).map((id) => this.worker(id)).join(', ') || 'nobody yet']]
      if (row.agreed) facts.push(['agreed', `${row.agreed} replicas`])
      if (row.seconds) facts.push(['time', duration(row.seconds)])
      if (row.output) facts.push(['file', row.output])
      fill(this.block,
        el('div', {class: 'panel-head'}, el('h2', {}, `Block ${number(index)}`), el('button', {type: 'button', class: 'icon', 'aria-label': 'Close', onclick: () => { this.block.hidden = true; this.map.box.focus() }}, '×')),
        el('dl', {class: 'facts'}, facts.map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
        row.words && el('div', {class: 'note warn'}, row.words),
        row.failure && el('pre', {class: 'value bad', tabindex: '0'}, row.failure.text || row.failure.type),
        row.value !== undefined && row.value !== null && el('div', {class: 'stack'}, el('h3', {}, 'Returned'), whole(row.value, `block ${index}`)))
      this.block.hidden = false
      this.block.focus({preventScroll: true})
      this.block.scrollIntoView({block: 'nearest'})
    } catch (error) {
      complain(error)
    }
  }

  worker(id) {
    const found = this.job.workers?.find((worker) => worker.node === id)
    return found?.local ? 'this machine' : found?.name || short(id ?? '')
  }

  // -- the parts below -------------------------------------------------------------------------------------------------

  tabKey(event, id) {
    const at = PARTS.findIndex(([one]) => one === id)
    const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: PARTS.length - 1}[event.key]
    if (to === undefined) return
    event.preventDefault()
    const next = (to + PARTS.length) % PARTS.length
    this.choose(PARTS[next][0], true)
    this.tabs[next].focus()
  }

  // What is looked for in a job of this state; a part that its person chose stays.
  fitting() {
    return OVER.has(this.job.state) ? 'results' : this.job.state === 'waiting' ? 'why' : 'workers'
  }

  choose(id, byHand = false) {
    this.byHand ||= byHand
    if (this.part === id) return
    this.tabs.forEach((tab, n) => { const on = PARTS[n][0] === id; tab.setAttribute('aria-selected', String(on)); tab.tabIndex = on ? 0 : -1 })
    const was = this.parts[this.part]
    if (was && this.part !== 'results') { was.close?.(); delete this.parts[this.part] }
    this.part = id
    this.panel.setAttribute('aria-labelledby', `tab-${id}`)
    const part = (this.parts[id] ??= this.made(id))
    fill(this.panel, part.element)
    part.update?.(this.job)
    if (this.byHand) history.replaceState(null, '', `#/${pathOf(this.name, id)}`)
  }

  made(id) {
    const names = (node) => this.worker(node)
    if (id === 'results') return new Results(this.job, names, (index) => this.pick(index))
    if (id === 'log') return new Logs(this.name, names)
    if (id === 'workers') return workersPart()
    if (id === 'disputes') return disputesPart(names, (index) => this.pick(index))
    if (id === 'why') return whyPart(this.name)
    return aboutPart(this.name)
  }
}
