// The receiver of `prove-processes.mjs`: what it has acknowledged stands in a file before its answer leaves, and it may be
// killed at any moment.
import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'

const LOST_EVERY = 25
const { path, port } = JSON.parse(process.env.PROVE)

/** Half a line was never acknowledged. */
function cutTail() {
  if (!existsSync(path)) return
  truncateSync(path, readFileSync(path).lastIndexOf(10) + 1)
}

cutTail()
const file = openSync(path, 'a', 0o600)
let requests = 0
const server = createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const bytes = Buffer.concat(chunks)
    for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written)
    requests += 1
    // What it has kept it does not always get to say.
    if (requests % LOST_EVERY === 0) request.socket.destroy()
    else response.writeHead(204).end()
  })
})
server.listen(port, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('disconnect', () => {
  closeSync(file)
  process.exit()
})
