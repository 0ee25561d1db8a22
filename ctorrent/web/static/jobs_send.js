// A job and its files on their way to the node.

import {post} from './api.js'

// job: {text, path, files: [{path, file}]}
function body(job) {
  const form = new FormData()
  form.append('job', new Blob([job.text], {type: 'application/yaml'}), job.path)
  for (const {path, file} of job.files) form.append('files', file, path)
  return form
}

// job.name: what a job file that names nothing is called
function query(job, options) {
  const found = new URLSearchParams()
  if (job.name) found.set('name', job.name)
  if (Object.keys(options).length) found.set('options', JSON.stringify(options))
  return found.size ? `?${found}` : ''
}

export const rehearse = (job, signal) => post(`jobs/rehearse${query(job, {})}`, body(job), {signal})

// -> the new job's name
export async function submit(job, options) {
  const answer = await post(`jobs${query(job, options)}`, body(job))
  return answer.job ?? answer
}
