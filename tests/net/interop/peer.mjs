// A js-libp2p peer that shares no code with ours: connects, identifies, pings, gossips and uses our DHT.
// usage: node peer.mjs MULTIADDR PEER_TO_FIND TOPIC; prints one JSON line per step. Packages: package.json beside this.
// js-libp2p 3 is written for Node 22
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new Promise((a, b) => { resolve = a; reject = b })
  return { promise, resolve, reject }
}
const say = (step, value) => console.log(JSON.stringify({ step, value }))

const [{ createLibp2p }, { tcp }, { noise }, { yamux }, { identify }, { ping }, { gossipsub }, { kadDHT, passthroughMapper },
  { multiaddr }, { peerIdFromString }] = await Promise.all(['libp2p', '@libp2p/tcp', '@chainsafe/libp2p-noise',
  '@chainsafe/libp2p-yamux', '@libp2p/identify', '@libp2p/ping', '@libp2p/gossipsub', '@libp2p/kad-dht',
  '@multiformats/multiaddr', '@libp2p/peer-id'].map(name => import(name)))

const [address, wanted, topic] = process.argv.slice(2)
const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    gossip: gossipsub({
      allowPublishToZeroTopicPeers: true,
      msgIdFn: message => Uint8Array.from([...message.from.toMultihash().bytes, ...seqno(message.sequenceNumber)])
    }),
    dht: kadDHT({ protocol: '/ctorrent/kad/1.0.0', clientMode: false, peerInfoMapper: passthroughMapper })
  }
})
function seqno (number) {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number))
  return bytes
}

const identified = new Promise(resolve => node.addEventListener('peer:identify', event => resolve(event.detail)))
say('id', node.peerId.toString())
const connection = await node.dial(multiaddr(address))
const who = await identified
say('identify', { agent: who.agentVersion, protocols: who.protocols, addresses: who.listenAddrs.map(String) })
node.services.gossip.subscribe(topic)
node.services.gossip.addEventListener('message', event => {
  const { topic: where, data, from } = event.detail
  if (where === topic) say('heard', { from: from.toString(), data: new TextDecoder().decode(data) })
})
while (node.services.gossip.getSubscribers(topic).length === 0) await new Promise(resolve => setTimeout(resolve, 50))
await new Promise(resolve => setTimeout(resolve, 1500)) // a heartbeat: the mesh
await node.services.gossip.publish(topic, new TextEncoder().encode('from js'))
say('published', true)
const info = await node.peerRouting.findPeer(peerIdFromString(wanted), { signal: AbortSignal.timeout(15000) })
say('found', info.multiaddrs.map(String))
say('ping', await node.services.ping.ping(connection.remotePeer)) // last: js's DHT pings too, and one at a time is its limit
process.stdin.resume()
process.stdin.on('end', async () => { await node.stop(); process.exit(0) })
