// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/support/test_host.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace lockhost {
namespace {

constexpr uint64_t kMs = 1'000'000;

server::Daemon::Options ServerOptions(const std::string& agent_socket, const std::string& run_dir,
                                      uint64_t instance, uint32_t max_streams) {
  server::Daemon::Options options;
  options.agent_socket = agent_socket;
  options.run_dir = run_dir;
  options.version = "test";
  options.agent_backoff = {.first_ceiling_ns = 5 * kMs, .last_ceiling_ns = 50 * kMs};
  options.publisher.timing = {
      .lease_ns = 1500 * kMs, .heartbeat_ns = 100 * kMs, .heartbeat_slack_ns = 20 * kMs};
  options.publisher.instance = instance;
  options.vm.max_streams = max_streams;
  options.wire_look_ns = 5 * kMs;  // the guests' threads sleep in the same gRPC
  return options;
}

guest_agent::GuestAgent::Options GuestOptions(const guest_agent::TestDirectory& directory,
                                              const std::string& target) {
  guest_agent::GuestAgent::Options options;
  options.host.target = target;
  options.host.agent_version = "test";
  options.host.backoff = {.first_ceiling_ns = 5 * kMs, .last_ceiling_ns = 50 * kMs};
  options.host.seed = 1;
  options.hint_page = directory.File("hints");
  options.report_page = directory.File("reports");
  return options;
}

}  // namespace

TestServer::TestServer(const std::string& agent_socket, const std::string& run_dir,
                       uint64_t instance, uint32_t max_streams)
    : stop_(eventfd(0, EFD_CLOEXEC)) {
  const auto ignore = [](const std::string&) {};
  auto daemon = server::Daemon::Start(ServerOptions(agent_socket, run_dir, instance, max_streams),
                                      MonotonicClock(), {.info = ignore, .warning = ignore});
  EXPECT_TRUE(daemon.ok()) << daemon.status();
  daemon_ = *std::move(daemon);
  thread_ = std::thread([this] { daemon_->Run(stop_.get(), {}); });
}

TestServer::~TestServer() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

TestGuest::TestGuest(const std::string& host_socket, uint32_t slots, lockhost_page_path path) {
  guest_agent::GuestAgent::Options options = GuestOptions(directory_, "unix:" + host_socket);
  options.slots = slots;
  options.path = path;
  Start(std::move(options));
}

TestGuest::TestGuest(const std::string& target, const guest_agent::TlsFiles& tls) {
  guest_agent::GuestAgent::Options options = GuestOptions(directory_, target);
  options.host.tls = tls;
  Start(std::move(options));
}

void TestGuest::Start(guest_agent::GuestAgent::Options options) {
  auto agent = guest_agent::GuestAgent::Create(std::move(options), MonotonicClock(), {});
  EXPECT_TRUE(agent.ok()) << agent.status();
  agent_ = *std::move(agent);
  hints_ = std::make_unique<guest_agent::HintView>(directory_.File("hints"));
  reports_ = std::make_unique<guest_agent::ReportView>(directory_.File("reports"));
  thread_ = std::thread([this] {
    result_ = agent_->Run();
    done_ = true;
  });
}

TestGuest::~TestGuest() {
  agent_->RequestStop();
  thread_.join();
}

void TestGuest::Wait(uint32_t vcpu_id) {
  lockhost_report_header* reports = reports_->get();
  __atomic_store_n(&lockhost_report_slot_at(reports, vcpu_id)->awaited, 1, __ATOMIC_SEQ_CST);
  if (__atomic_exchange_n(&reports->bell_armed, 0, __ATOMIC_SEQ_CST) == 0) return;
  __atomic_fetch_add(&reports->bell, 1, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &reports->bell, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

void TestGuest::Hold(uint32_t vcpu_id) {
  uint64_t& word = lockhost_report_slot_at(reports_->get(), vcpu_id)->report_word;
  __atomic_store_n(&word, (uint64_t{1} << LOCKHOST_REPORT_COUNT_SHIFT) | 1, __ATOMIC_SEQ_CST);
}

uint32_t TestGuest::Hint(uint32_t vcpu_id) const {
  return guest_agent::ReadHint(*hints_, vcpu_id, MonotonicClock().now_ns());
}

bool TestGuest::HasLease() const {
  return __atomic_load_n(&hints_->get()->valid_until_ns, __ATOMIC_ACQUIRE) >
         MonotonicClock().now_ns();
}

uint64_t TestGuest::generation() const {
  return __atomic_load_n(&hints_->get()->generation, __ATOMIC_ACQUIRE);
}

TestHost::TestHost(uint32_t max_streams) : max_streams_(max_streams) {
  StartAgent();
  StartServer();
}

void TestHost::StartAgent() {
  agent_ = std::make_unique<TestAgent>(directory_.path() + "/agent.sock", ++agents_ * 1000);
  agent_->AddVm(kVm, 3);
  agent_->SetState(kVm, 0, LOCKHOST_RUN_STATE_RUNNING);
  agent_->SetState(kVm, 1, LOCKHOST_RUN_STATE_RUNNING);
}

void TestHost::StartServer() {
  server_ = std::make_unique<TestServer>(directory_.path() + "/agent.sock",
                                         directory_.path() + "/run", ++instances_, max_streams_);
  EXPECT_TRUE(Eventually([this] { return Serves(); }));
}

std::string TestHost::VmSocket(uint64_t vm_id) const {
  return directory_.path() + "/run/vm/" + std::to_string(vm_id) + ".sock";
}

std::shared_ptr<grpc::Channel> TestHost::Connect(const std::string& socket) const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
}

bool TestHost::Serves(uint64_t vm_id) const {
  return access(VmSocket(vm_id).c_str(), F_OK) == 0 && server_->directory().source().connected;
}

}  // namespace lockhost
