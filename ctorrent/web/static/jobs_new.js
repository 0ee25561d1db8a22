// A new job: a function and what it runs on, a job.yaml, or a whole folder. One block is tried here before it is sent.

import {advice} from './advice.js'
import {complain, Problem, toast} from './api.js'
import {add, announce, el, fill, say} from './dom.js'
import {compose, Fault, functionsOf, placed, PROGRAM} from './jobs_compose.js'
import {chosen, isJobFile} from './jobs_files.js'
import {planOf} from './jobs_plan.js'
import {rehearse, submit} from './jobs_send.js'
import {bytes, count} from './words.js'

const EXAMPLE = `import random


def run(points, seed):
    """One block: how many of so many darts hit the quarter circle."""
    throw = random.Random(seed)
    inside = sum(throw.random() ** 2 + throw.random() ** 2 < 1 for _ in range(points))
    print(f"{inside} of {points} inside")
    return {"pi": 4 * inside / points}
`
const EMPTY = {code: '', function: '', kind: 'count', count: '20', grid: '', items: '', repeat: '', params: '', reduce: '', best: '', packages: '', name: '', replicas: '', ring: '', seconds: '', yaml: ''}
const UNSENT = /: there is no file |matches no file$/
const MODES = [['form', 'Function'], ['file', 'job.yaml'], ['folder', 'Folder']]
let draft = {...EMPTY, mode: 'form', files: []} // stays while the page does: looking at another view loses nothing
let here = null // the form that is open
let handed = [] // files for the one that opens next

// Files that were dropped on the page, whatever view was open.
export function hand(files) {
  if (here) return here.take(files)
  handed = files
  location.hash = '#/jobs/new'
}

export class NewJob {
  constructor(root, mode) {
    if (MODES.some(([one]) => one === mode)) draft.mode = mode
    Object.assign(this, {root, closed: false, fields: {}, wrongs: {}, stop: null})
    this.tabs = MODES.map(([id, words], n) => el('button', {type: 'button', role: 'tab', id: `mode-${id}`, 'aria-controls': 'mode', onclick: () => this.show(id), onkeydown: (event) => this.tabKey(event, n)}, words))
    this.form = el('form', {class: 'form panel', id: 'mode', role: 'tabpanel', novalidate: true, onsubmit: (event) => { event.preventDefault(); this.send() }, oninput: () => this.typed()})
    this.plan = el('div', {class: 'plan', 'aria-live': 'polite'})
    this.yaml = el('pre', {class: 'yaml', tabindex: '0', 'aria-label': 'The job file that this form makes'})
    this.yamlPanel = el('section', {class: 'panel'}, el('div', {class: 'panel-head'}, el('h2', {}, 'job.yaml'), el('button', {type: 'button', class: 'quiet', onclick: () => this.edit()}, 'Edit as text')), this.yaml)
    this.tryButton = el('button', {type: 'button', onclick: () => this.rehearse()}, 'Try one block')
    this.sendButton = el('button', {type: 'button', class: 'main', onclick: () => this.send()}, 'Submit')
    this.view = el('div', {class: 'compose'}, this.form,
      el('div', {class: 'sticky'}, el('section', {class: 'panel', 'aria-labelledby': 'plan-title'}, el('h2', {id: 'plan-title'}, 'Plan'), this.plan, el('div', {class: 'buttons'}, this.tryButton, this.sendButton)), this.yamlPanel))
    add(root, el('div', {class: 'view-head'}, el('a', {class: 'back', href: '#/jobs', 'aria-label': 'All jobs'}, '←'), el('h1', {}, 'New job'), el('div', {class: 'row'}, el('div', {class: 'tabs', role: 'tablist', 'aria-label': 'How to say it'}, this.tabs))), this.view)
    document.title = 'New job · ComputeTorrent'
    this.show(draft.mode)
    here = this
    this.take(handed).catch(complain)
    handed = []
  }

  close() {
    this.closed = true
    this.stop?.abort()
    if (here === this) here = null
  }

  // -- the three ways --------------------------------------------------------------------------------------------------

  show(mode) {
    draft.mode = mode
    this.tabs.forEach((tab, n) => { const on = MODES[n][0] === mode; tab.setAttribute('aria-selected', String(on)); tab.tabIndex = on ? 0 : -1 })
    this.form.setAttribute('aria-labelledby', `mode-${mode}`)
    this.fields = {}
    this.wrongs = {}
    fill(this.form, mode === 'form' ? this.function() : mode === 'file' ? this.text() : this.folder(), this.general = el('p', {class: 'wrong', role: 'alert', hidden: true}))
    this.yamlPanel.hidden = mode !== 'form'
    this.unplan()
    this.typed()
  }

  tabKey(event, n) {
    const to = {ArrowRight: n + 1, ArrowLeft: n + MODES.length - 1}[event.key]
    if (to === undefined) return
    event.preventDefault()
    this.show(MODES[to % MODES.length][0])
    this.tabs[to % MODES.length].focus()
  }

  field(name, words, control, tip = '') {
    control.id = `f-${name}`
    control.value = draft[name]
    control.addEventListener('input', () => { draft[name] = control.value })
    const wrong = el('p', {class: 'wrong', id: `w-${name}`, hidden: true})
    this.fields[name] = control
    this.wrongs[name] = wrong
    control.setAttribute('aria-describedby', `w-${name}${tip ? ` t-${name}` : ''}`)
    return el('div', {class: 'field'}, el('label', {for: control.id}, words), control, tip && el('p', {class: 'tip', id: `t-${name}`}, tip), wrong)
  }

  function() {
    const input = (props = {}) => el('input', {type: 'text', autocomplete: 'off', spellcheck: 'false', ...props})
    const area = (rows, placeholder) => el('textarea', {rows, placeholder, spellcheck: 'false', autocapitalize: 'off'})
    const select = (options) => el('select', {}, options.map(([value, words]) => el('option', {value}, words)))
    const file = el('input', {type: 'file', accept: '.py,text/x-python', class: 'unseen', tabindex: '-1', 'aria-label': 'A Python file', onchange: () => this.take(chosen(file))})
    this.names = el('datalist', {id: 'functions'})
    const kinds = [['count', 'a number of them'], ['grid', 'a grid of values'], ['items', 'a list']].map(([kind, words]) => el('label', {}, el('input', {type: 'radio', name: 'kind', value: kind, checked: draft.kind === kind, onchange: () => { draft.kind = kind; this.kinds(); this.typed() }}), ' ', words))
    const parts = [
      this.field('code', 'Program', area(12, 'def run(index, seed):\n    return {"y": index * index}'), 'One Python file. Its function gets what it asks for by name: parameters, index, seed. What it returns is a number, a text, a list, a map, an array or bytes.'),
      el('div', {class: 'row'}, el('button', {type: 'button', onclick: () => file.click()}, 'Choose a file'), file, el('button', {type: 'button', class: 'quiet', onclick: () => this.example()}, 'Use an example'), el('span', {class: 'soft'}, 'or drop one anywhere here')),
      el('div', {class: 'pair'}, this.field('function', 'Function', input({list: 'functions'})), this.names, this.field('name', 'Name of the job', input({maxlength: 80, placeholder: 'for people'}))),
      el('fieldset', {class: 'stack'}, el('legend', {class: 'label'}, 'Blocks'), el('div', {class: 'choices'}, kinds), this.kindBox = el('div'),
        el('div', {class: 'pair'}, this.field('repeat', 'Repeat each', input({inputmode: 'numeric', placeholder: '1'}), 'every time with a seed of its own'), this.field('params', 'Given to every block', area(2, 'points: 100000')))),
      el('div', {class: 'pair'}, this.field('reduce', 'Answer', select([['', 'every row by itself'], ['table', 'a table'], ['sum', 'sum'], ['mean', 'mean'], ['concat', 'all lists, joined'], ['best-by', 'the best by …']])), this.best = this.field('best', 'by the field', input({placeholder: 'accuracy, or -loss for the least'}))),
      el('details', {open: Boolean(draft.packages || draft.replicas || draft.ring || draft.seconds)}, el('summary', {}, 'More: packages, agreement, who may take part'),
        el('div', {class: 'stack'}, this.field('packages', 'Packages', input({placeholder: 'numpy, scikit-learn>=1.4'}), 'from the Python package index'),
          el('div', {class: 'pair'}, this.field('replicas', 'Owners that must agree', select([['', 'two (usual)'], ['1', 'one: nothing is compared'], ['3', 'three']])), this.field('ring', 'Who may take part', select([['', 'as this node is set'], ['friends', 'friends'], ['swarm', 'the swarm'], ['public', 'anybody']])), this.field('seconds', 'Longest block, in seconds', input({inputmode: 'numeric', placeholder: '300'}))))),
    ]
    this.kinds()
    this.found()
    return parts
  }

  kinds() {
    for (const name of ['count', 'grid', 'items']) { delete this.fields[name]; delete this.wrongs[name] }
    const area = (rows, placeholder) => el('textarea', {rows, placeholder, spellcheck: 'false'})
    fill(this.kindBox, draft.kind === 'count' ? this.field('count', 'How many', el('input', {type: 'text', inputmode: 'numeric'}), 'each gets its index and a seed of its own')
      : draft.kind === 'grid' ? this.field('grid', 'Values of each parameter', area(3, 'C: 0.1, 1, 10\nbeta: 0.1 to 0.5 in 200 steps'), 'one parameter a line; every combination is a block')
        : this.field('items', 'Items', area(4, 'one a line: a number, a text, or JSON'), 'the function gets each as item; a map gives its keys by name'))
  }

  text() {
    const file = el('input', {type: 'file', multiple: true, class: 'unseen', tabindex: '-1', 'aria-label': 'Files of the job', onchange: () => this.take(chosen(file), true)})
    return [
      this.field('yaml', 'job.yaml', el('textarea', {rows: 14, spellcheck: 'false', placeholder: 'python: work.py:run\nblocks: {grid: {C: [0.1, 1, 10]}}\nreduce: table'}), 'Paste it, or drop it together with the files that it names.'),
      el('div', {class: 'row'}, el('button', {type: 'button', onclick: () => file.click()}, 'Add files beside it'), file, draft.code.trim() && !draft.files.some(({path}) => path === PROGRAM) && el('span', {class: 'soft'}, `${PROGRAM} is the program of the form.`)),
      this.listed()]
  }

  folder() {
    const input = el('input', {type: 'file', webkitdirectory: true, class: 'unseen', tabindex: '-1', 'aria-label': 'A folder', onchange: () => this.take(chosen(input), true, true)})
    const jobs = draft.files.filter(({path}) => isJobFile(path))
    return [
      el('div', {class: 'drop'}, el('p', {}, 'Drop a folder with its job.yaml here'), el('button', {type: 'button', onclick: () => input.click()}, 'Choose a folder'), input, el('p', {}, 'Only what the job file names is sent to workers.')),
      jobs.length > 1 && el('div', {class: 'field'}, el('label', {for: 'which'}, 'Which job file'), el('select', {id: 'which', onchange: (event) => this.read(event.target.value)}, jobs.map(({path}) => el('option', {value: path, selected: path === draft.which}, path)))),
      draft.files.length > 0 && this.field('yaml', draft.which || 'job.yaml', el('textarea', {rows: 10, spellcheck: 'false'})),
      this.listed()]
  }

  listed() {
    if (!draft.files.length) return null
    const size = draft.files.reduce((sum, {file}) => sum + file.size, 0)
    return el('div', {class: 'stack'}, el('div', {class: 'row spread'}, el('span', {class: 'label'}, `${count(draft.files.length, 'file')}, ${bytes(size)}`), el('button', {type: 'button', class: 'quiet', onclick: () => { draft.files = []; this.show(draft.mode) }}, 'Remove all')),
      el('ul', {class: 'files', tabindex: '0', 'aria-label': 'Files'}, draft.files.slice(0, 200).map(({path, file}) => el('li', {}, el('span', {class: 'mono'}, path), el('span', {class: 'soft num'}, bytes(file.size)))), draft.files.length > 200 && el('li', {}, `and ${draft.files.length - 200} more`)))
  }

  // -- what is handed over, chosen, typed --------------------------------------------------------------------------------

  // One Python file fills the form, or lies beside the job file that is there; a job file, or several files, are a job of their own.
  async take(files, beside = false, folder = false) {
    if (!files.length || this.closed) return
    const jobs = files.filter(({path}) => isJobFile(path))
    if (!beside && files.length === 1 && /\.py$/i.test(files[0].path) && (draft.mode === 'form' || !draft.yaml.trim())) {
      draft.code = await files[0].file.text()
      draft.function = ''
      this.show('form')
      return
    }
    const known = new Map((folder ? [] : draft.files).map((one) => [one.path, one]))
    for (const one of files) known.set(one.path, one)
    draft.files = [...known.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
    draft.title = files.title ?? draft.title ?? ''
    if (jobs.length) await this.read((jobs.find(({path}) => /^job\.ya?ml$/i.test(path)) ?? jobs[0]).path, false)
    else if (!draft.yaml) toast('There is no job.yaml among these files.', {hint: 'Write one in the text above: python: FILE.py:FUNCTION and blocks: N are enough.'})
    this.show(folder || files.some(({path}) => path.includes('/')) ? 'folder' : 'file')
  }

  async read(path, show = true) {
    const found = draft.files.find((one) => one.path === path)
    draft.which = path
    draft.yaml = await found.file.text()
    if (show) this.show(draft.mode)
  }

  example() {
    Object.assign(draft, EMPTY, {code: EXAMPLE, function: 'run', name: 'pi', count: '40', params: 'points: 300000', reduce: 'mean'})
    this.show('form')
  }

  found() {
    const names = functionsOf(draft.code)
    fill(this.names, names.map((name) => el('option', {value: name})))
    if (names.length && !names.includes(draft.function)) { draft.function = names.at(-1); this.fields.function.value = draft.function }
  }

  typed() {
    if (draft.mode === 'form') {
      if (document.activeElement === this.fields.code || !draft.function) this.found()
      this.best.hidden = draft.reduce !== 'best-by'
      try { say(this.yaml, compose(draft)) } catch (error) { say(this.yaml, `# ${error.message}`) }
    }
    this.right()
    if (this.planned && this.planned !== this.key()) this.unplan()
  }

  edit() {
    try {
      draft.yaml = compose(draft)
    } catch (error) {
      this.wrong(error)
      return
    }
    draft.files = [...draft.files.filter(({path}) => path !== PROGRAM), {path: PROGRAM, file: new File([draft.code], PROGRAM)}]
    this.show('file')
  }

  key() {
    return JSON.stringify([draft.mode, draft.mode === 'form' ? this.yaml.textContent + draft.code : draft.yaml, draft.files.map(({path, file}) => [path, file.size, file.lastModified])])
  }

  // -- what is wrong -----------------------------------------------------------------------------------------------------

  right() {
    for (const [name, wrong] of Object.entries(this.wrongs)) { wrong.hidden = true; this.fields[name].removeAttribute('aria-invalid') }
    this.general.hidden = true
  }

  wrong(error) {
    this.right()
    const about = error instanceof Fault ? error : placed(error.message, draft.kind)
    const name = draft.mode === 'form' ? about.field : 'yaml'
    const place = this.wrongs[name] ?? this.general
    const hint = UNSENT.test(error.message) ? 'Drop it here as well, or its whole folder.' : error.hint // the node's is for programs
    say(place, (draft.mode !== 'form' && about.line && !(error instanceof Fault) ? String(error.message) : about.message) + (hint ? `\n${hint}` : ''))
    place.hidden = false
    const control = this.fields[name]
    control?.closest('details')?.setAttribute('open', '')
    control?.setAttribute('aria-invalid', 'true')
    control?.focus()
    if (about.line && (name === 'yaml' || name === 'code')) this.selectLine(control, about.line)
    announce(about.message)
  }

  selectLine(area, line) {
    const lines = area.value.split('\n')
    const from = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0)
    area.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0))
    area.scrollTop = Math.max(0, (line - 5) * 20)
  }

  // -- trying and sending ------------------------------------------------------------------------------------------------

  job() {
    if (draft.mode === 'form') return {text: compose(draft), files: [{path: PROGRAM, file: new File([draft.code], PROGRAM)}], path: 'job.yaml', name: draft.function}
    if (!draft.yaml.trim()) throw new Fault('yaml', draft.mode === 'folder' ? 'Choose a folder with a job.yaml first.' : 'The job file is empty.')
    const files = draft.files.filter(({path}) => path !== draft.which)
    if (draft.mode === 'file' && draft.code.trim() && draft.yaml.includes(`${PROGRAM}:`) && !files.some(({path}) => path === PROGRAM)) files.push({path: PROGRAM, file: new File([draft.code], PROGRAM)})
    return {text: draft.yaml, files, path: 'job.yaml', name: draft.title}
  }

  unplan() {
    this.planned = ''
    this.rehearsal = null
    fill(this.plan, el('p', {class: 'soft'}, 'The smallest block is run on this machine first. What fails here, fails before anybody else hears of it.'))
  }

  busy(words) {
    this.tryButton.disabled = this.sendButton.disabled = Boolean(words)
    this.plan.setAttribute('aria-busy', String(Boolean(words)))
    if (words) fill(this.plan, el('p', {class: 'soft'}, words))
  }

  // -> the rehearsal, or null where something is wrong, which is shown
  async rehearse() {
    if (this.rehearsal && this.planned === this.key()) return this.rehearsal
    let job
    try { job = this.job() } catch (error) { this.wrong(error); return null }
    const key = this.key()
    this.stop = new AbortController()
    this.busy('Running one block here …')
    try {
      const found = await rehearse(job, this.stop.signal)
      if (this.closed) return null
      this.planned = key
      this.rehearsal = found
      fill(this.plan, planOf(found))
      if (found.state === 'failed') add(this.plan, el('p', {}, el('button', {type: 'button', class: 'quiet', onclick: () => this.deliver(job, {})}, 'Submit as it is')))
      announce(found.state === 'failed' ? 'The block failed here' : 'One block was tried here: the plan is shown')
      return found
    } catch (error) {
      if (!this.closed) { this.unplan(); this.refused(error) }
      return null
    } finally {
      if (!this.closed) this.busy('')
    }
  }

  refused(error) {
    if (error instanceof Problem && (error.status === 422 || error.status === 400)) this.wrong(error)
    else complain(error)
  }

  async send() {
    const found = await this.rehearse()
    if (!found || found.state === 'failed' || this.closed) return
    const options = {}
    if (found.lacks) {
      const wait = await this.waits(found)
      if (wait === null) return
      if (!wait) options.replicas = 1
    }
    if (found.state === 'ran') options.expected = {block_s: found.block_s, start_s: found.start_s, job_s: (options.replicas ? found.single : found.cost)?.seconds ?? 0, ...(options.replicas ? {} : {lax: found.lax})}
    await this.deliver(this.job(), options)
  }

  // Nothing lowers the number of owners that must agree but a person's word. -> true: wait; false: one replica; null: neither
  waits(found) {
    return new Promise((resolve) => {
      const dialog = el('dialog', {class: 'ask', 'aria-labelledby': 'wait-title'}, el('form', {method: 'dialog'}, el('h2', {id: 'wait-title'}, 'Not enough owners are here'), el('p', {}, `This job ${advice(found.lacks)}.`),
        el('div', {class: 'buttons'}, el('button', {value: 'none', class: 'quiet'}, 'Not now'), found.owners > 0 && el('button', {value: 'once'}, 'Run each block once'), el('button', {value: 'wait', class: 'main'}, 'Submit, and wait'))))
      dialog.addEventListener('close', () => { dialog.remove(); resolve(dialog.returnValue === 'wait' ? true : dialog.returnValue === 'once' ? false : null) })
      document.body.append(dialog)
      dialog.showModal()
    })
  }

  async deliver(job, options) {
    this.tryButton.disabled = this.sendButton.disabled = true
    try {
      const name = await submit(job, options)
      toast(`Submitted as ${name}.`, {kind: 'good'})
      draft = {...EMPTY, mode: draft.mode, files: []}
      location.hash = `#/jobs/${name}`
    } catch (error) {
      if (!this.closed) this.refused(error)
    } finally {
      this.tryButton.disabled = this.sendButton.disabled = false
    }
  }
}
