// Jobs: the list, one job, and a new one.

import {JobPage} from './job.js'
import {JobList} from './jobs_list.js'
import {NewJob} from './jobs_new.js'

export const title = 'Jobs'

export function open(root, args) {
  const [name, part] = args
  const view = !name ? new JobList(root) : name === 'new' ? new NewJob(root, part) : new JobPage(root, name, part)
  return () => view.close()
}
