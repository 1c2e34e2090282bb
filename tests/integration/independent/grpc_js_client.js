// SPDX-License-Identifier: Apache-2.0
//
// The whole API as a client sees it that shares no code with the server: @grpc/grpc-js, which
// has an HTTP/2 and a protobuf of its own, from the .proto files alone.
//   node grpc_js_client.js PROTO_DIR VM_SOCKET ADMIN_SOCKET VM_ID
// Says what it has seen, a line each; exits with 1 at the first thing that is not as the
// .proto files say.
'use strict';

const assert = require('node:assert');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [protoDir, vmSocket, adminSocket, vmId] = process.argv.slice(2);
const definition = loader.loadSync(
    ['lockhost/v1/hints.proto', 'lockhost/v1/host.proto'],
    {includeDirs: [protoDir], keepCase: true, longs: String, enums: String, defaults: true,
     oneofs: true});
const {lockhost: {v1}} = grpc.loadPackageDefinition(definition);
const insecure = grpc.credentials.createInsecure();
const hints = new v1.HintService(`unix:${vmSocket}`, insecure);
const host = new v1.HostService(`unix:${adminSocket}`, insecure);
const deadline = () => ({deadline: Date.now() + 20000});
const seen = (what) => console.log(`seen: ${what}`);

// What a stream sends, message by message; fails when it ends first.
async function* messagesOf(stream) {
  for await (const message of stream) yield message;
  throw new Error('the stream has ended');
}

function statusOf(stream) {
  return new Promise((resolve) => {
    stream.on('error', resolve);
    stream.on('data', () => {});
    stream.on('end', () => resolve({code: grpc.status.OK}));
  });
}

function callUnary(method, request) {
  return new Promise((resolve, reject) => {
    method.call(host, request, deadline(),
                (error, answer) => error ? reject(error) : resolve(answer));
  });
}

async function watchAndReport() {
  const watch = hints.WatchHints({protocol_version: 1, agent_version: 'grpc-js'}, deadline());
  const messages = messagesOf(watch);
  const {value: first} = await messages.next();
  assert.equal(first.message, 'snapshot');
  assert.equal(first.snapshot.reason, 'SNAPSHOT_REASON_OPENED');
  assert.deepEqual(first.snapshot.vcpus.map((vcpu) => vcpu.vcpu_id), [0, 1]);
  assert.notEqual(first.snapshot.generation, '0');
  assert.ok(Number(first.lease_ns) > 0);
  seen('snapshot');
  const {value: second} = await messages.next();
  assert.equal(second.message, 'heartbeat');
  seen('heartbeat');

  // Asks to be told; whoever runs this changes a vCPU's state until it is.
  let told;
  const answered = new Promise((resolve, reject) => {
    const reports = hints.ReportHolders(
        deadline(), (error, answer) => error ? reject(error) : resolve(answer));
    const report = () => reports.write({
      generation: first.snapshot.generation,
      demand: {ttl_ns: '1000000000'},
      holders: [{vcpu_id: 0, contended: true}],
    });
    report();
    const again = setInterval(report, 200);
    told = () => {
      clearInterval(again);
      reports.end();
    };
  });
  for await (const message of messages) {
    if (message.message !== 'delta' || message.delta.vcpus.length === 0) continue;
    assert.ok(['RUN_STATE_RUNNING', 'RUN_STATE_PREEMPTED'].includes(
        message.delta.vcpus[0].run_state));
    seen('delta');
    break;
  }
  told();
  const answer = await answered;
  assert.ok(Number(answer.accepted) >= 1, 'reports taken');
  assert.equal(answer.outdated, '0');
  seen('report answered');
  watch.cancel();
}

async function refusals() {
  const bad = await statusOf(hints.WatchHints({protocol_version: 0}, deadline()));
  assert.equal(bad.code, grpc.status.INVALID_ARGUMENT);
  assert.match(bad.details, /protocol_version/);
  seen('bad request refused');
  const error = await new Promise((resolve) => {
    const reports = hints.ReportHolders(deadline(), resolve);
    reports.write({holders: [{vcpu_id: 4000000}]});
  });
  assert.equal(error.code, grpc.status.INVALID_ARGUMENT);
  assert.match(error.details, /vcpu_id/);
  seen('bad report refused');
  const elsewhere = new v1.HostService(`unix:${vmSocket}`, insecure);
  const denied = await statusOf(elsewhere.WatchVm({vm_id: vmId}, deadline()));
  assert.equal(denied.code, grpc.status.UNIMPLEMENTED);
  elsewhere.close();
  seen('no HostService for a guest');
}

async function operate() {
  const listed = await callUnary(host.ListVms, {include_vcpus: true});
  assert.deepEqual(listed.vms.map((vm) => vm.vm_id), [vmId]);
  assert.equal(listed.vms[0].socket_path, vmSocket);
  assert.equal(listed.vms[0].vcpus.length, 2);
  seen('list of VMs');
  await assert.rejects(callUnary(host.ListVms, {page_token: 'no such'}),
                       {code: grpc.status.INVALID_ARGUMENT});
  const watch = host.WatchVm({vm_id: vmId, interval_ns: '100000000'}, deadline());
  const messages = messagesOf(watch);
  await messages.next();
  const {value: message} = await messages.next();
  assert.equal(message.vm.vm_id, vmId);
  assert.equal(message.vcpus.length, 2);
  watch.cancel();
  seen('VM watched');
  const missing = await statusOf(host.WatchVm({vm_id: '123456789'}, deadline()));
  assert.equal(missing.code, grpc.status.NOT_FOUND);
  seen('no such VM');
}

async function main() {
  await watchAndReport();
  await refusals();
  await operate();
  hints.close();
  host.close();
}

main().then(() => process.exit(0), (error) => {
  console.log(error);
  process.exit(1);
});
