// Small line charts of the last minutes, drawn as SVG: one path a line, written anew once a second.

import {el, say, svg} from './dom.js'

const WIDE = 300 // of the drawing: a point is a second, five minutes are in sight
const HIGH = 64
export const SECONDS = 300

// {id, title, lines: [{name, kind}], top: the scale's end, or 0: twice what is drawn at most; words: number => text}
// -> {element, show(points: [[seconds ago, value, …]], now: text)}; a value that is null is a gap.
export function chart({id, title, lines, top = 0, least = 1, words}) {
  const now = el('span', {class: 'chart-now'})
  const paths = lines.map((line) => svg('path', {class: `chart-line ${line.kind}`}))
  const area = svg('path', {class: `chart-area ${lines[0].kind}`})
  const name = svg('title', {id: `${id}-said`})
  const drawing = svg('svg', {viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: 'none', class: 'chart', role: 'img', 'aria-labelledby': `${id}-said`},
    name, [0.25, 0.5, 0.75].map((at) => svg('line', {class: 'chart-grid', x1: 0, x2: WIDE, y1: HIGH * at, y2: HIGH * at})), area, paths)
  const scale = el('span', {class: 'chart-scale', 'aria-hidden': 'true'})

  function show(points, text) {
    const highest = top || Math.max(least, ...points.flatMap(([, ...values]) => values.filter(Number.isFinite))) * 1.15
    lines.forEach((line, at) => paths[at].setAttribute('d', path(points, at + 1, highest)))
    area.setAttribute('d', filled(points, highest))
    say(now, text)
    say(scale, words(highest))
    say(name, `${title}: ${text}; the last ${Math.round(Math.max(0, points[0]?.[0] ?? 0) / 60)} minutes`)
  }

  const legend = lines.length > 1 && el('span', {class: 'chart-legend'}, lines.map((line) => el('span', {class: `chart-key ${line.kind}`}, line.name)))
  return {
    element: el('figure', {class: 'chart-box', id}, el('figcaption', {}, el('span', {class: 'chart-title'}, title), legend, now), el('div', {class: 'chart-frame'}, drawing, scale)),
    show,
  }
}

const across = (ago) => (WIDE - (ago / SECONDS) * WIDE).toFixed(1)
const up = (value, highest) => (HIGH - 1 - Math.min(1, Math.max(0, value / highest)) * (HIGH - 2)).toFixed(1)

function path(points, at, highest) {
  let drawn = ''
  let open = false
  for (const point of points) {
    const known = Number.isFinite(point[at])
    if (known) drawn += `${open ? 'L' : 'M'}${across(point[0])},${up(point[at], highest)}`
    open = known
  }
  return drawn
}

function filled(points, highest) {
  const known = points.filter((point) => Number.isFinite(point[1]))
  if (known.length < 2) return ''
  return `${path(known, 1, highest)}L${across(known.at(-1)[0])},${HIGH}L${across(known[0][0])},${HIGH}Z`
}
