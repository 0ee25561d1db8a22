// Numbers and times as a person reads them.

const GROUPED = new Intl.NumberFormat('en', {maximumFractionDigits: 0})

export const number = (value) => GROUPED.format(value)

export const count = (value, one, many = one + 's') => `${number(value)} ${value === 1 ? one : many}`

// A GB is 1,000,000,000 bytes everywhere, of memory, of disks and in a job file, as ctorrent says it in a terminal.
export function bytes(value) {
  if (!Number.isFinite(value)) return '–'
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']
  let size = value, unit = 0
  while (size >= 999.5 && unit < units.length - 1) { size /= 1000; unit++ }
  return `${unit && size < 9.95 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`
}

// 0.4 s, 12 s, 4 min 10 s, 3 h 5 min, 2 d 4 h
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !isFinite(seconds)) return '–'
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole / 60} min`
  const hours = Math.floor(whole / 3600), minutes = Math.round((whole % 3600) / 60)
  if (hours < 24) return minutes && minutes < 60 ? `${hours} h ${minutes} min` : `${hours} h`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

// of a moment, seconds since 1970: "12 s ago", "3 h ago", then its date
export function ago(unix, now = Date.now() / 1000) {
  const seconds = Math.max(0, now - unix)
  if (seconds < 5) return 'just now'
  if (seconds < 60) return `${Math.floor(seconds)} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`
  return new Date(unix * 1000).toISOString().slice(0, 10)
}

export const percent = (share) => `${share > 0 && share < 0.1 ? (100 * share).toFixed(1) : Math.round(100 * share)} %`

// an id's beginning: enough to tell it from the others on a screen
export const short = (id) => (String(id).length > 12 ? `${String(id).slice(0, 4)}…${String(id).slice(-5)}` : String(id))
