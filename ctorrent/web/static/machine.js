// This machine: lend it or not in one click, what others may use, what it does now, for whom, and what that earned.

import {complain, onEvent, put} from './api.js'
import {chart, SECONDS} from './charts.js'
import {el, fill, say} from './dom.js'
import {credits, panel, rate} from './parts.js'
import {bytes, count, duration, number, percent} from './words.js'

export const title = 'This machine'

const warmth = [] // [unix, degrees of the processor, of the warmest GPU], as long as this page is open: the node keeps no history of them

onEvent('machine', ({machine}) => {
  const warmest = Math.max(...machine.gpus.map((gpu) => gpu.temperature_c ?? -Infinity))
  warmth.push([Date.now() / 1000, machine.temperature_c, Number.isFinite(warmest) ? warmest : null])
  while (warmth.length && warmth[0][0] < Date.now() / 1000 - SECONDS) warmth.shift()
})

export function open(root) {
  const sharing = lending()
  const use = lent()
  const now = charts()
  const work = worksFor()
  root.append(el('div', {class: 'view-head'}, el('h1', {}, 'This machine')),
    el('div', {class: 'machine-top'}, el('div', {class: 'stack'}, sharing.element, work.element), use.element), now.element)
  return onEvent('machine', ({machine}) => {
    for (const part of [sharing, use, now, work]) part.show(machine)
  })
}

// -- one click --------------------------------------------------------------------------------------------------------

function lending() {
  const words = el('p', {class: 'switch-words', role: 'status'})
  const toggle = el('button', {type: 'button', role: 'switch', class: 'switch', 'aria-checked': 'false', 'aria-labelledby': 'share-label', onclick: () => turn()}, el('span', {class: 'switch-knob'}))
  let wanted = null // what was clicked, until the node says the same
  let since = 0
  let told = null // [sharing, words] of the last click: they stay until something else happens

  let sending = Promise.resolve() // of the click before: a second one is not lost, and is not sent before it

  function turn() {
    const on = toggle.getAttribute('aria-checked') !== 'true'
    wanted = on
    since = performance.now()
    toggle.setAttribute('aria-checked', String(on))
    say(words, on ? 'Beginning to share…' : 'Handing back what runs here…')
    sending = sending.then(() => send(on))
  }

  async function send(on) {
    if (wanted !== on) return // clicked again since
    try {
      show(await put('machine/sharing', {on}))
    } catch (error) {
      complain(error)
      if (wanted !== on) return
      wanted = null
      toggle.setAttribute('aria-checked', String(!on))
      say(words, '')
    }
  }

  function show(machine) {
    const {sharing} = machine
    if (wanted !== null && sharing !== wanted) return // an event from before the click
    toggle.setAttribute('aria-checked', String(sharing))
    const busy = machine.works_for.reduce((sum, one) => sum + one.blocks, 0)
    if (!sharing && busy) return say(words, `Off. Handing back ${count(busy, 'block')}…`)
    if (wanted !== null) told = [sharing, sharing ? 'On: others may use what is lent.' : `Off. It was free after ${duration((performance.now() - since) / 1000)}: what ran for others was handed back.`]
    wanted = null
    if (told?.[0] !== sharing) told = null
    say(words, told?.[1] ?? (sharing ? 'On: others may use what is lent. Off hands back what runs here, within two seconds.' : 'Off: nobody else uses this machine.'))
  }

  return {element: panel('sharing', 'Share this machine', el('div', {class: 'row'}, toggle, el('span', {id: 'share-label', class: 'switch-label'}, 'Lend this machine to others')), words), show}
}

const WORK_FOR = {me: 'you alone', friends: 'you and your friends', swarm: 'your swarms', all: 'everybody'}

function lent() {
  const list = el('dl', {class: 'facts'})
  let looks = ''
  return {
    element: panel('lends', 'What others may use', list),
    show({lends, slots, slots_free: free}) {
      const now = JSON.stringify([lends, slots, free])
      if (now === looks) return
      looks = now
      fill(list, [
        ['Whose jobs run here', WORK_FOR[lends.work_for] ?? lends.work_for],
        ['Blocks at once', `${number(slots)}, ${number(free)} free`],
        ['Cores', number(lends.cores)],
        ['Memory', bytes(lends.memory_bytes)],
        ['GPUs', lends.gpus ? number(lends.gpus) : 'none'],
        ['Disk', bytes(lends.disk_bytes)],
      ].map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]), el('dt', {}, 'To change it'), el('dd', {}, el('code', {}, 'ctorrent config set slots 2')))
    },
  }
}

// -- charts -----------------------------------------------------------------------------------------------------------

const degrees = (value) => (Number.isFinite(value) ? `${Math.round(value)} °C` : '–')

function charts() {
  const cpu = chart({id: 'chart-cpu', title: 'Processor', lines: [{name: 'load', kind: 'one'}], top: 1, words: percent})
  const ram = chart({id: 'chart-memory', title: 'Memory', lines: [{name: 'used', kind: 'two'}], top: 1, words: percent})
  const net = chart({id: 'chart-net', title: 'Network', lines: [{name: 'in', kind: 'one'}, {name: 'out', kind: 'three'}], least: 10000, words: rate})
  const gpu = chart({id: 'chart-gpu', title: 'GPU', lines: [{name: 'load', kind: 'four'}], top: 1, words: percent})
  const warm = chart({id: 'chart-heat', title: 'Temperature', lines: [{name: 'processor', kind: 'three'}, {name: 'GPU', kind: 'four'}], top: 100, words: degrees})
  const gpus = el('ul', {class: 'gpus'})
  const missing = el('p', {class: 'soft'})

  function show(machine) {
    const last = machine.history.at(-1)?.[0] ?? 0
    const ago = machine.history.map((row) => [last - row[0], ...row.slice(1)])
    cpu.show(ago.map((row) => [row[0], row[1]]), `${percent(machine.cpu)} of ${count(machine.cores, 'core')}`)
    ram.show(ago.map((row) => [row[0], row[2]]), `${bytes(machine.memory_used)} of ${bytes(machine.memory_bytes)}`)
    net.show(ago.map((row) => [row[0], row[3], row[4]]), `${rate(machine.net_in_bytes_s)} in, ${rate(machine.net_out_bytes_s)} out`)
    gpu.element.hidden = machine.gpus.length === 0
    if (machine.gpus.length) gpu.show(ago.map((row) => [row[0], row[5]]), machine.gpus.map((one) => percent(one.load)).join(', '))
    heat(machine)
    fill(gpus, machine.gpus.map((one) => el('li', {}, el('strong', {}, one.name), ` ${percent(one.load)}, ${bytes(one.memory_used)} of ${bytes(one.memory_bytes)}, ${degrees(one.temperature_c)}`)))
  }

  function heat(machine) {
    const known = warmth.some(([, processor, card]) => processor !== null || card !== null)
    warm.element.hidden = !known
    const lacks = [machine.gpus.length ? '' : 'no GPU', known ? '' : 'no temperature sensor'].filter(Boolean)
    say(missing, lacks.length ? `This machine shows ${lacks.join(' and ')}. ${bytes(machine.disk_free_bytes)} of disk free.` : `${bytes(machine.disk_free_bytes)} of disk free.`)
    if (!known) return
    const newest = warmth.at(-1)[0]
    const cards = machine.gpus.map((one) => degrees(one.temperature_c)).join(', ')
    warm.show(warmth.map(([at, processor, card]) => [newest - at, processor, card]), [degrees(machine.temperature_c), cards].filter(Boolean).join(', GPU '))
  }

  return {element: panel('now', 'Now, and the last five minutes', el('div', {class: 'charts'}, cpu.element, ram.element, gpu.element, warm.element, net.element), gpus, missing), show}
}

// -- for whom ---------------------------------------------------------------------------------------------------------

function worksFor() {
  const list = el('ul', {class: 'works'})
  const earned = el('p', {class: 'earned'})
  let looks = ''
  return {
    element: panel('works', 'For whom it works', list, earned),
    show(machine) {
      const works = machine.works_for.filter((one) => one.blocks || machine.sharing) // what was handed back is worked for no more
      const now = JSON.stringify([works.map(({since_s, ...rest}) => [rest, Math.floor(since_s / 5)]), machine.sharing])
      say(earned, `Credit earned: ${credits(machine.earned_credits)}, by receipts that others signed.`)
      if (now === looks) return
      looks = now
      const idle = machine.sharing ? 'Nobody now. It waits for work.' : 'Nobody: sharing is off.'
      fill(list, works.length ? works.map((one) => el('li', {}, el('strong', {}, one.name || one.owner.slice(0, 12)), one.blocks ? `: ${count(one.blocks, 'block')} of job ` : ': ready for job ', el('code', {}, one.job), `, for ${duration(one.since_s)}`)) : el('li', {class: 'soft'}, idle))
    },
  }
}

