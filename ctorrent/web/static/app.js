// The shell: which view is open, the colours, the keyboard, and the page that is shown without a token.
// A view is a module {title, open(root, args) -> close()}; #/jobs/k3f9abcd opens view "jobs" with args ['k3f9abcd'].

import {complain, onEvent, onLink, onLocked} from './api.js'
import {add, announce, el, fill, say} from './dom.js'
import {start as startHead} from './head.js'
import {dropped} from './jobs_files.js'

const VIEWS = {
  jobs: () => import('./jobs.js'),
  network: () => import('./network.js'),
  machine: () => import('./machine.js'),
  trust: () => import('./trust.js'),
  guide: () => import('./guide.js'),
}
const ORDER = Object.keys(VIEWS)
const root = document.getElementById('view')

let close = () => {}
let turn = 0 // of navigation: what loads late must not replace what was opened since
let locked = false

async function route() {
  if (locked) return
  const parts = location.hash.replace(/^#\/?/, '').split('/').filter(Boolean).map(decoded)
  const name = parts[0] ?? 'jobs'
  const mine = ++turn
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.view === name) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  if (!Object.hasOwn(VIEWS, name)) return nowhere(name)
  let view
  try {
    view = await VIEWS[name]()
  } catch (error) {
    if (mine === turn) missing(name, error)
    return
  }
  if (mine !== turn || locked) return
  shut()
  close = view.open(root, parts.slice(1)) ?? (() => {})
  titled(view.title)
  if (moved) { root.focus({preventScroll: true}); scrollTo(0, 0) }
}

function decoded(part) {
  try { return decodeURIComponent(part) } catch { return part }
}

function shut() {
  const was = close
  close = () => {}
  was()
  fill(root)
}

export function titled(title) {
  document.title = `${title} · ComputeTorrent`
  announce(title)
}

function missing(name, error) {
  shut()
  console.error(error)
  add(root, el('div', {class: 'empty'}, el('h1', {}, 'This view could not be loaded'),
    el('p', {}, `The node did not send the script of “${name}”. If it was updated while this page was open, load the page again.`),
    el('p', {}, el('button', {class: 'main', onclick: () => location.reload()}, 'Load again'))))
}

function nowhere(name) {
  shut()
  titled('No such page')
  add(root, el('div', {class: 'empty'}, el('h1', {}, 'There is no such page'), el('p', {}, `This page has no “${name.slice(0, 60)}”. It has:`),
    el('p', {class: 'row'}, [...document.querySelectorAll('nav a')].map((link) => el('a', {class: 'button', href: link.hash}, link.textContent)))))
}

let moved = false
addEventListener('hashchange', () => { moved = true; route() })
document.getElementById('skip').addEventListener('click', (event) => { event.preventDefault(); root.focus() })

// -- without a token ---------------------------------------------------------------------------------------------------

onLocked(() => {
  if (locked) return
  locked = true
  turn++
  shut()
  document.body.classList.add('locked')
  titled('Open this page from a terminal')
  add(root, el('div', {class: 'empty lock'},
    el('h1', {}, 'Open this page from a terminal'),
    el('p', {}, 'This browser has no token of the node, or it has ended. Only the person who runs the node may look in here. On its machine, type:'),
    el('p', {}, el('code', {class: 'big'}, 'ctorrent open')),
    el('p', {class: 'soft'}, 'It opens this page with a link that works once. Scripts use ctorrent token instead.'),
    el('p', {}, el('button', {class: 'main', onclick: () => location.reload()}, 'Try again'))))
})

// -- whether events arrive ---------------------------------------------------------------------------------------------

const link = document.getElementById('link')
let late = 0
onLink((up) => {
  clearTimeout(late)
  if (up) link.hidden = true
  else late = setTimeout(() => { link.hidden = locked; say(link, 'Not connected: trying again') }, 700) // a reload is no news
})

// -- who waits for a word ----------------------------------------------------------------------------------------------

const network = document.querySelector('nav a[data-view="network"]')
const asks = el('span', {class: 'unseen'})
network.append(asks)
onEvent('peers', ({peers}) => {
  const owners = new Set(peers.filter((peer) => peer.wants_friendship).map((peer) => peer.owner)).size
  network.classList.toggle('asks', owners > 0)
  say(asks, owners ? `(${owners} ${owners === 1 ? 'asks' : 'ask'} to be your friend)` : '')
})

// -- files, dropped on any view: a new job's ---------------------------------------------------------------------------

const carries = (event, type) => event.dataTransfer?.types.includes(type)
const taken = (event) => !locked && !carries(event, 'text/html') // a picture that is dragged out of a page is none
addEventListener('dragover', (event) => {
  if (!carries(event, 'Files')) return
  event.preventDefault() // the browser would leave the page for the file
  root.classList.toggle('over', taken(event))
})
addEventListener('dragleave', (event) => { if (!event.relatedTarget) root.classList.remove('over') })
addEventListener('drop', async (event) => {
  if (!carries(event, 'Files')) return
  event.preventDefault()
  root.classList.remove('over')
  if (!taken(event)) return
  try { // what was dropped is read at once: it is gone with its event
    const [files, form] = await Promise.all([dropped(event.dataTransfer), import('./jobs_new.js')])
    await form.hand(files)
  } catch (error) {
    complain(error)
  }
})

// -- colours -----------------------------------------------------------------------------------------------------------

const SCHEMES = {'': 'as the system', light: 'light', dark: 'dark'}
const themeButton = document.getElementById('theme')
const html = document.documentElement

function label() {
  themeButton.setAttribute('aria-label', `Colours: ${SCHEMES[html.dataset.theme ?? '']}`)
  themeButton.title = themeButton.getAttribute('aria-label')
}
themeButton.addEventListener('click', () => {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches
  const order = dark ? ['', 'light', 'dark'] : ['', 'dark', 'light'] // the first click always changes something
  const next = order[(order.indexOf(html.dataset.theme ?? '') + 1) % 3]
  if (next) html.dataset.theme = next
  else delete html.dataset.theme
  keep('ct-theme', next)
  label()
  announce(`Colours: ${SCHEMES[next]}`)
})
label()

function keep(name, value) {
  try { localStorage.setItem(name, value) } catch { /* a browser that keeps nothing asks again */ }
}
function kept(name) {
  try { return localStorage.getItem(name) } catch { return null }
}

// -- keyboard ----------------------------------------------------------------------------------------------------------

const KEYS = [
  ['1 … 5', 'Jobs, Network, This machine, Trust, Guide'],
  ['n', 'New job'],
  ['j  k', 'Next and previous row of a list; Enter opens it'],
  ['/', 'Go to the filter'],
  ['← ↑ ↓ →', 'In a block map: move from block to block'],
  ['?', 'This list'],
]
let singleKeys = kept('ct-keys') !== 'off'

function help() {
  const toggle = el('input', {type: 'checkbox', id: 'single', checked: singleKeys, onchange: () => {
    singleKeys = toggle.checked
    keep('ct-keys', singleKeys ? 'on' : 'off')
  }})
  const dialog = el('dialog', {class: 'ask', 'aria-labelledby': 'keys-title'},
    el('form', {method: 'dialog'},
      el('h2', {id: 'keys-title'}, 'Keyboard'),
      el('dl', {class: 'keys'}, KEYS.map(([key, what]) => [el('dt', {}, el('kbd', {}, key)), el('dd', {}, what)])),
      el('p', {}, toggle, ' ', el('label', {for: 'single'}, 'Single keys do this (off: for speech input and screen readers)')),
      el('div', {class: 'buttons'}, el('button', {class: 'main'}, 'Close'))))
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}
document.getElementById('keys').addEventListener('click', help)

addEventListener('keydown', (event) => {
  if (!singleKeys || locked || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
  if (event.target.closest('input, textarea, select, dialog, [contenteditable]')) return
  if (event.key >= '1' && event.key <= String(ORDER.length)) location.hash = `#/${ORDER[Number(event.key) - 1]}`
  else if (event.key === 'n') location.hash = '#/jobs/new'
  else if (event.key === '?') help()
  else if (event.key === '/') document.querySelector('[data-filter]')?.focus()
  else if (event.key === 'j' || event.key === 'k') step(event.key === 'j' ? 1 : -1)
  else return
  event.preventDefault()
})

// Rows that a list offers to the keys are links or buttons marked data-row.
function step(by) {
  const rows = [...root.querySelectorAll('[data-row]')]
  if (!rows.length) return
  const at = rows.indexOf(document.activeElement)
  rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))].focus()
}

startHead(document.getElementById('head'))
route()
import('./guide.js').then((guide) => guide.firstRun())
