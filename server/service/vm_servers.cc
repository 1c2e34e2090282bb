// SPDX-License-Identifier: Apache-2.0
#include "server/service/vm_servers.h"

#include <utility>

namespace lockhost::server {

VmServers::VmServers(VmServer::Options options, Publisher* publisher, HintQueue* queue, Wire* wire,
                     Clock clock)
    : options_(options),
      publisher_(publisher),
      queue_(queue),
      wire_(wire),
      clock_(clock),
      ender_([this] { EndThem(); }) {}

VmServers::~VmServers() {
  {
    const std::lock_guard lock(mutex_);
    for (auto& [vm_id, server] : servers_) ending_.push_back(std::move(server));
    stop_ = true;
  }
  wake_.notify_one();
  ender_.join();
}

absl::Status VmServers::Start(std::shared_ptr<VmRecord> record) {
  const uint64_t vm_id = record->vm_id();
  auto server = VmServer::Start(options_, std::move(record), publisher_, queue_, wire_, clock_);
  if (!server.ok()) return server.status();
  servers_[vm_id] = *std::move(server);
  return absl::OkStatus();
}

void VmServers::End(uint64_t vm_id) {
  auto found = servers_.extract(vm_id);
  if (found.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_.push_back(std::move(found.mapped()));
  }
  wake_.notify_one();
}

void VmServers::SetLimits(const VmServer::Options& options) {
  options_ = options;
  for (auto& [vm_id, server] : servers_) {
    server->SetLimits(options.max_streams, options.connections);
  }
}

void VmServers::StopServing() {
  for (auto& [vm_id, server] : servers_) server->StopServing();
}

void VmServers::EndThem() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !ending_.empty(); });
    if (ending_.empty()) return;
    std::vector<std::unique_ptr<VmServer>> now = std::exchange(ending_, {});
    lock.unlock();
    now.clear();
    lock.lock();
  }
}

}  // namespace lockhost::server
