// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/support/test_agent.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <future>
#include <utility>

namespace lockhost {

TestAgent::TestAgent(std::string socket, uint64_t generation) : next_generation_(generation) {
  interest_ = *agent::InterestMemfd::Create();
  loop_ = *agent::EventLoop::Create();
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  agent::ChannelOptions options;
  options.path = std::move(socket);
  options.server_uids = {geteuid()};
  options.start_ticks = [](pid_t) { return uint64_t{1}; };
  auto channel = agent::ChannelServer::Create(loop_.get(), options, this);
  EXPECT_TRUE(channel.ok()) << channel.status();
  channel_ = *std::move(channel);
  EXPECT_TRUE(loop_
                  ->Watch(wake_.get(), EPOLLIN,
                          [this](uint32_t) {
                            eventfd_t ignored;
                            eventfd_read(wake_.get(), &ignored);
                            std::unique_lock lock(mutex_);
                            auto work = std::exchange(work_, {});
                            lock.unlock();
                            for (const auto& each : work) each();
                          })
                  .ok());
  thread_ = std::thread([this] { EXPECT_TRUE(loop_->Run().ok()); });
}

TestAgent::~TestAgent() {
  Do([this] { loop_->Stop(); });
  thread_.join();
  channel_.reset();
}

void TestAgent::Do(std::function<void()> work) {
  std::promise<void> done;
  {
    const std::lock_guard lock(mutex_);
    work_.push_back([&] {
      work();
      done.set_value();
    });
  }
  eventfd_write(wake_.get(), 1);
  done.get_future().wait();
}

void TestAgent::AddVm(uint64_t vm_id, uint32_t vm_index, uint32_t vsock_cid,
                      const std::string& name) {
  Do([&] {
    vms_[vm_id] = {vm_index, vsock_cid, name, *agent::MemfdTable::Create(next_generation_++)};
    channel_->AnnounceVm(Announcement(vm_id));
  });
}

void TestAgent::RemoveVm(uint64_t vm_id) {
  Do([&] {
    auto gone = agent::MakeMessage<agent::VmGoneMessage>(agent::MessageType::kVmGone);
    gone.vm_id = vm_id;
    gone.vm_index = vms_.at(vm_id).vm_index;
    vms_.erase(vm_id);
    channel_->AnnounceVmGone(gone);
  });
}

void TestAgent::ReplaceTable(uint64_t vm_id) {
  Do([&] {
    vms_.at(vm_id).table = *agent::MemfdTable::Create(next_generation_++);
    channel_->AnnounceVm(Announcement(vm_id));
  });
}

void TestAgent::SetState(uint64_t vm_id, uint32_t vcpu_id, lockhost_run_state state) {
  Do([&] { vms_.at(vm_id).table->SetState(vcpu_id, state, MonotonicClock().now_ns()); });
}

bool TestAgent::HasDemand(uint64_t vm_id) {
  bool demand = false;
  Do([&] {
    demand = interest_->HasDemand(vms_.at(vm_id).vm_index, vm_id, MonotonicClock().now_ns());
  });
  return demand;
}

bool TestAgent::HasSubscriber() {
  bool connected = false;
  Do([&] { connected = channel_->connections() > 0; });
  return connected;
}

void TestAgent::StartBoosting(uint64_t vm_id, const agent::BoostRecord& record) {
  Do([&] {
    boost_log_.emplace(*agent::BoostLogWriter::Create());
    boost_log_->Append(record);
    boost_requests_.emplace(*agent::BoostRequests::Create());
    host_page_ = *agent::HostPageWriter::Create();
    auto figures = std::make_unique<agent::HostFigures>();
    figures->updated_at_ns = MonotonicClock().now_ns();
    agent::SetFieldText(figures->boost_mechanism, "fifo");
    agent::VmFigures& vm = figures->vms[vms_.at(vm_id).vm_index];
    vm.vm_id = vm_id;
    vm.boost.enabled = 1;
    host_page_->Write(*figures);
    channel_->AnnounceSource();
  });
}

std::vector<agent::BoostRequest> TestAgent::TakeBoostRequests() {
  std::vector<agent::BoostRequest> taken;
  Do([&] {
    boost_requests_->Take(MonotonicClock().now_ns(),
                          [&](const agent::BoostRequest& request) { taken.push_back(request); });
  });
  return taken;
}

agent::SourceAnnouncement TestAgent::DescribeSource() {
  auto message = agent::MakeMessage<agent::SourceMessage>(agent::MessageType::kSource);
  message.source = agent::SourceKind::kProcfs;
  agent::SetFieldText(message.reason, "a test");
  agent::SourceAnnouncement source{message, -1, interest_->fd()};
  if (boost_log_) {
    source.host_page_fd = host_page_->fd();
    source.boost_log_fd = boost_log_->fd();
    source.boost_requests_fd = boost_requests_->peer_fd();
  }
  return source;
}

std::vector<agent::VmAnnouncement> TestAgent::AllVms() {
  std::vector<agent::VmAnnouncement> all;
  for (const auto& [vm_id, vm] : vms_) all.push_back(Announcement(vm_id));
  return all;
}

std::vector<agent::VmAnnouncement> TestAgent::VmsOf(const agent::PeerIdentity&) { return {}; }

absl::Status TestAgent::SetReportRegion(const agent::PeerIdentity&,
                                        const agent::ReportRegionMessage&) {
  return absl::UnimplementedError("not in this test");
}

absl::StatusOr<agent::VmAnnouncement> TestAgent::RegisterVcpus(const agent::PeerIdentity&,
                                                               std::span<const int32_t>) {
  return absl::UnimplementedError("not in this test");
}

absl::Status TestAgent::SetBoost(const agent::PeerIdentity&, uint64_t vm_id, bool enabled) {
  if (!enabled && vm_id == 0) return absl::FailedPreconditionError("no boosts here: for a reason");
  boosted_[vm_id] = enabled;
  return absl::OkStatus();
}

std::map<uint64_t, bool> TestAgent::Boosted() {
  std::map<uint64_t, bool> boosted;
  Do([&] { boosted = boosted_; });
  return boosted;
}

agent::VmAnnouncement TestAgent::Announcement(uint64_t vm_id) {
  const Vm& vm = vms_.at(vm_id);
  auto message = agent::MakeMessage<agent::VmMessage>(agent::MessageType::kVm);
  message.vm_id = vm_id;
  message.vm_index = vm.vm_index;
  message.vsock_cid = vm.vsock_cid;
  agent::SetFieldText(message.name, vm.name);
  message.pid = getpid();
  message.slot_count = LOCKHOST_MAX_SLOTS;
  message.source = agent::SourceKind::kProcfs;
  agent::SetFieldText(message.vmm, "test");
  return {message, vm.table->fd()};
}

}  // namespace lockhost
