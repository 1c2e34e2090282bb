// SPDX-License-Identifier: Apache-2.0
//
// A whole host and its guests in one process: the real lockhostd, real guest agents over
// real sockets, real pages.
#ifndef LOCKHOST_TESTS_INTEGRATION_SUPPORT_TEST_HOST_H_
#define LOCKHOST_TESTS_INTEGRATION_SUPPORT_TEST_HOST_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "client/guest_agent/guest_agent.h"
#include "client/page/hint_reader.h"
#include "server/daemon/daemon.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/temp_dir.h"
#include "tests/client/guest_agent/page_file.h"
#include "tests/integration/support/test_agent.h"

namespace lockhost {

using agent::Eventually;

// lockhostd, in a thread.
class TestServer {
 public:
  // `instance` tells this lockhostd from the one before.
  TestServer(const std::string& agent_socket, const std::string& run_dir, uint64_t instance,
             uint32_t max_streams = 8);
  ~TestServer();

  const server::VmDirectory& directory() const { return daemon_->directory(); }

 private:
  UniqueFd stop_;
  std::unique_ptr<server::Daemon> daemon_;
  std::thread thread_;
};

// The guest agent, in a thread, and its pages as an application sees them.
class TestGuest {
 public:
  explicit TestGuest(const std::string& host_socket, uint32_t slots = 8,
                     lockhost_page_path path = LOCKHOST_PAGE_PATH_GRPC);
  // By TCP.
  TestGuest(const std::string& target, const guest_agent::TlsFiles& tls);
  ~TestGuest();

  // As the lock does: marks the holder's vCPU, rings if the bell is armed.
  void Wait(uint32_t vcpu_id);
  // As the lock does: a thread on that vCPU has taken a lock.
  void Hold(uint32_t vcpu_id);
  uint32_t Hint(uint32_t vcpu_id) const;
  bool HasLease() const;
  uint64_t generation() const;
  const guest_agent::Stats& stats() const { return agent_->stats(); }
  // Why Run() has returned; OK while it has not.
  absl::Status result() const { return done_ ? result_ : absl::OkStatus(); }
  bool done() const { return done_; }

 private:
  void Start(guest_agent::GuestAgent::Options options);

  guest_agent::TestDirectory directory_;
  std::unique_ptr<guest_agent::GuestAgent> agent_;
  std::unique_ptr<guest_agent::HintView> hints_;
  std::unique_ptr<guest_agent::ReportView> reports_;
  absl::Status result_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// Agent and server with one VM (id 7, vCPUs 0 and 1 running).
class TestHost {
 public:
  static constexpr uint64_t kVm = 7;

  explicit TestHost(uint32_t max_streams = 8);

  TestAgent& agent() { return *agent_; }
  TestServer& server() { return *server_; }
  std::string VmSocket(uint64_t vm_id = kVm) const;
  std::string AgentSocket() const { return directory_.path() + "/agent.sock"; }
  std::string AdminSocket() const { return directory_.path() + "/run/admin.sock"; }
  std::shared_ptr<grpc::Channel> Connect(const std::string& socket) const;

  void StopServer() { server_.reset(); }
  void StartServer();
  void StopAgent() { agent_.reset(); }
  void StartAgent();
  bool Serves(uint64_t vm_id = kVm) const;

 private:
  agent::TempDir directory_;
  uint64_t instances_ = 0;
  uint64_t agents_ = 0;
  const uint32_t max_streams_;
  std::unique_ptr<TestAgent> agent_;
  std::unique_ptr<TestServer> server_;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_INTEGRATION_SUPPORT_TEST_HOST_H_
