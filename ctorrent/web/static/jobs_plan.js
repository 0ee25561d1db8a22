// What a rehearsal found, in words: the smallest block was run on this machine before anybody heard of the job.

import {advice} from './advice.js'
import {el} from './dom.js'
import {inline} from './job_values.js'
import {count, duration, number} from './words.js'

// as market/estimate.py reckons: no more digits than it deserves
function roughly(seconds) {
  if (seconds < 20) return seconds < 0.95 ? 'less than a second' : `${Math.round(seconds)} s`
  if (seconds < 60) return `${5 * Math.round(seconds / 5)} s`
  for (const [size, unit] of [[86400, 'days'], [3600, 'h'], [60, 'min']]) if (seconds >= size) return `${seconds < 10 * size ? Number((seconds / size).toPrecision(2)) : number(seconds / size)} ${unit}`
  return duration(seconds)
}

function costWords(cost, found) {
  const least = found.state === 'long' ? 'at least ' : 'about '
  const times = cost.replicas === 1 ? 'once' : cost.replicas === 2 ? 'twice' : `${cost.replicas} times`
  const which = found.economy && cost.replicas > 1 ? `newcomers’ blocks ${times}` : `every block ${times}`
  return `${count(cost.machines, 'machine')}, ${which}: ${least}${roughly(cost.seconds)}${cost.speedup >= 1 ? `, ${Number(cost.speedup.toPrecision(2))} × this machine alone` : ''}.`
}

function rehearsed(found) {
  if (found.state === 'ran') return `One block took ${duration(found.block_s)} here${found.start_s > Math.max(0.05, 0.2 * found.block_s) ? `, after ${duration(found.start_s)} to start` : ''}.`
  if (found.state === 'long') return `The first block takes more than ${duration(found.block_s)}: it was stopped there, and may well be right.`
  return `Not tried here: ${advice(found.why)}`
}

export function planOf(found) {
  if (found.state === 'failed') return failureOf(found)
  return el('div', {class: 'plan-words'},
    el('p', {class: 'lead'}, `${count(found.blocks, 'block')}${found.replicas > 1 ? `, each by ${found.replicas} owners that must agree` : ', each run once'}.`),
    el('p', {}, rehearsed(found)),
    found.wavers && found.replicas > 1 && el('div', {class: 'note warn'}, `Two runs of that block differ: ${found.wavers}. Draw from the seed that a block is given, or its replicas will not agree.`),
    found.lax && el('div', {class: 'note warn'}, found.lax),
    found.cost && el('p', {}, costWords(found.cost, found)),
    found.single && el('p', {class: 'soft'}, `With one replica: about ${roughly(found.single.seconds)}, and nothing to compare a result with.`),
    found.cost?.credits >= 0.005 && el('p', {}, `Price: about ${Number(found.cost.credits.toPrecision(2))} credits.`),
    found.lacks && el('div', {class: 'note warn'}, `It ${advice(found.lacks)}.`),
    found.log?.trim() && el('details', {}, el('summary', {}, 'What the block printed'), el('pre', {class: 'value', tabindex: '0'}, found.log)))
}

function failureOf(found) {
  const params = inline(found.params ?? {}, 200)
  return el('div', {class: 'plan-words'},
    el('div', {class: 'note bad', role: 'alert'}, el('p', {}, `Block ${number(found.index)}${params ? ` (${params})` : ''} failed on this machine. Nothing was sent.`), found.hint && el('p', {class: 'hint'}, found.hint)),
    el('pre', {class: 'value bad', tabindex: '0'}, (found.failure.text || found.failure.type).trimEnd()),
    found.log?.trim() && el('details', {open: true}, el('summary', {}, 'What it printed'), el('pre', {class: 'value', tabindex: '0'}, found.log)))
}
