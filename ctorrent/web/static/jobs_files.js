// Files that a person drops or chooses: single ones, or whole folders with their paths.

const FILES_MAX = 10000 // of a job's folder, as the planner packs it
const LEFT = /^(\.git|\.venv|__pycache__|\.mypy_cache|node_modules)$/ // stay behind, as with a job submitted from a terminal

export const isJobFile = (path) => /\.ya?ml$/i.test(path)

// DataTransfer -> [{path, file}, …]: paths with forward slashes, relative to what was dropped
export async function dropped(transfer) {
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean)
  if (!roots.length) return [...transfer.files].map((file) => ({path: file.name, file}))
  const found = []
  for (const root of roots) await walk(root, '', found)
  return lifted(found)
}

// <input type=file multiple> or webkitdirectory
export function chosen(input) {
  return lifted([...input.files].map((file) => ({path: file.webkitRelativePath || file.name, file})).filter(({path}) => !path.split('/').some((part) => LEFT.test(part))))
}

async function walk(entry, prefix, found) {
  if (LEFT.test(entry.name)) return
  if (found.length >= FILES_MAX) throw new Error(`More than ${FILES_MAX.toLocaleString('en')} files: a job takes no more.`)
  const path = prefix + entry.name
  if (entry.isFile) {
    found.push({path, file: await new Promise((done, failed) => entry.file(done, failed))})
    return
  }
  const reader = entry.createReader()
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)) // a hundred at a time
    if (!some.length) return
    for (const one of some) await walk(one, `${path}/`, found)
  }
}

// The one folder that holds all of them is no part of their paths: job.yaml says paths beside itself.
function lifted(found) {
  const first = found[0]?.path.split('/')[0]
  if (found.length && found.every(({path}) => path.startsWith(`${first}/`))) {
    return Object.assign(found.map(({path, file}) => ({path: path.slice(first.length + 1), file})), {title: first})
  }
  return found
}
