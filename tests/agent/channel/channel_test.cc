// SPDX-License-Identifier: Apache-2.0

// Both ends of the agent's channel over real sockets; behind the server stands a handler
// that the test injects.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "agent/channel/agent_client.h"
#include "agent/channel/channel_server.h"
#include "agent/kernel/procfs.h"
#include "client/page/hint_page.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/other_user.h"
#include "tests/agent/support/temp_dir.h"

namespace lockhost::agent {
namespace {

using std::chrono::milliseconds;

UniqueFd MakeFile(const std::string& text) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

std::string TextOf(const UniqueFd& fd) {
  char text[64];
  const ssize_t size = pread(fd.get(), text, sizeof(text), 0);
  return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
}

// An agent with two descriptors of its own and any VMs the test likes.
class FakeAgent : public ChannelHandler {
 public:
  SourceAnnouncement DescribeSource() override {
    auto message = MakeMessage<SourceMessage>(MessageType::kSource);
    message.source = ring.valid() ? SourceKind::kBpf : SourceKind::kProcfs;
    SetFieldText(message.reason, "because");
    return {message, ring.get(), interest.get()};
  }
  std::vector<VmAnnouncement> AllVms() override { return vms; }
  std::vector<VmAnnouncement> VmsOf(const PeerIdentity& peer) override {
    std::vector<VmAnnouncement> own;
    for (const VmAnnouncement& vm : vms) {
      if (vm.message.pid == peer.pid) own.push_back(vm);
    }
    return own;
  }
  absl::Status SetReportRegion(const PeerIdentity& peer,
                               const ReportRegionMessage& region) override {
    region_peer = peer;
    regions.push_back(region);
    return region_status;
  }
  absl::StatusOr<VmAnnouncement> RegisterVcpus(const PeerIdentity&,
                                               std::span<const int32_t> tids) override {
    registered.assign(tids.begin(), tids.end());
    if (vms.empty()) return absl::ResourceExhaustedError("no room");
    return vms.front();
  }

  VmAnnouncement MakeVm(uint64_t vm_id, pid_t pid) {
    auto message = MakeMessage<VmMessage>(MessageType::kVm);
    message.vm_id = vm_id;
    message.pid = pid;
    message.start_ticks = Procfs::Open()->Stat(pid)->start_ticks;
    SetFieldText(message.name, std::string(100, 'n'));
    return {message, table.get()};
  }

  UniqueFd ring = MakeFile("ring");
  UniqueFd interest = MakeFile("interest");
  UniqueFd table = MakeFile("table");
  std::vector<VmAnnouncement> vms;
  PeerIdentity region_peer;
  std::vector<ReportRegionMessage> regions;
  absl::Status region_status;
  std::vector<int32_t> registered;
};

class ChannelTest : public testing::Test {
 protected:
  void SetUp() override {
    chmod(directory_.path().c_str(), 0755);
    loop_ = *EventLoop::Create();
    options_.path = directory_.path() + "/agent.sock";
    options_.server_uids = {getuid()};
    options_.start_ticks = [](pid_t pid) -> std::optional<uint64_t> {
      const auto stat = Procfs::Open()->Stat(pid);
      return stat ? std::optional(stat->start_ticks) : std::nullopt;
    };
    Restart();
  }
  void Restart() {
    server_.reset();
    auto server = ChannelServer::Create(loop_.get(), options_, &agent_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  AgentClient Connect() {
    auto client = AgentClient::Connect(options_.path);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  // Serves until the client has an event.
  absl::StatusOr<AgentEvent> Next(AgentClient& client) {
    absl::StatusOr<AgentEvent> result = absl::DeadlineExceededError("nothing came");
    Eventually([&] {
      EXPECT_TRUE(loop_->RunOnce(milliseconds(1)).ok());
      auto event = client.Receive();
      if (event.ok() && !event->has_value()) return false;
      if (event.ok()) {
        result = **std::move(event);
      } else {
        result = event.status();
      }
      return true;
    });
    return result;
  }
  template <typename Event>
  Event NextAs(AgentClient& client) {
    auto event = Next(client);
    EXPECT_TRUE(event.ok()) << event.status();
    auto* wanted = event.ok() ? std::get_if<Event>(&*event) : nullptr;
    EXPECT_NE(wanted, nullptr) << (event.ok() ? event->index() : 99);
    return wanted == nullptr ? Event{} : std::move(*wanted);
  }
  bool Serves(const std::function<bool()>& condition) {
    return Eventually([&] {
      EXPECT_TRUE(loop_->RunOnce(milliseconds(1)).ok());
      return condition();
    });
  }
  // Sends raw bytes; true if the server closes the connection as malformed.
  bool IsRefused(std::span<const std::byte> bytes, std::span<const int> fds = {}) {
    const uint64_t before = server_->counters().malformed;
    AgentClient client = Connect();
    EXPECT_TRUE(SendPacket(client.fd(), bytes, fds).ok());
    const auto event = Next(client);
    return absl::IsUnavailable(event.status()) && server_->counters().malformed == before + 1;
  }

  TempDir directory_;
  FakeAgent agent_;
  ChannelOptions options_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<ChannelServer> server_;
};

TEST_F(ChannelTest, SubscriberHearsOfEverythingThenOfChanges) {
  agent_.vms = {agent_.MakeVm(5, getpid()), agent_.MakeVm(6, getppid())};
  AgentClient client = Connect();
  ASSERT_TRUE(client.Subscribe().ok());
  const auto source = NextAs<SourceEvent>(client);
  EXPECT_EQ(source.message.source, SourceKind::kBpf);
  EXPECT_EQ(FieldText(source.message.reason), "because");
  EXPECT_EQ(TextOf(source.hint_ring), "ring");
  EXPECT_EQ(TextOf(source.interest), "interest");
  EXPECT_TRUE(fcntl(source.interest.get(), F_GETFD) & FD_CLOEXEC);
  const auto vm = NextAs<VmEvent>(client);
  EXPECT_EQ(vm.message.vm_id, 5u);
  EXPECT_EQ(FieldText(vm.message.name), std::string(63, 'n'));
  EXPECT_EQ(TextOf(vm.table), "table");
  EXPECT_EQ(NextAs<VmEvent>(client).message.vm_id, 6u);
  NextAs<SyncedEvent>(client);
  server_->AnnounceVm(agent_.MakeVm(7, getppid()));
  EXPECT_EQ(NextAs<VmEvent>(client).message.vm_id, 7u);
  auto gone = MakeMessage<VmGoneMessage>(MessageType::kVmGone);
  gone.vm_id = 7;
  server_->AnnounceVmGone(gone);
  EXPECT_EQ(NextAs<VmGoneEvent>(client).message.vm_id, 7u);
}

TEST_F(ChannelTest, WithoutARingTheInterestTableComesAlone) {
  agent_.ring.reset();
  AgentClient client = Connect();
  ASSERT_TRUE(client.Subscribe().ok());
  const auto source = NextAs<SourceEvent>(client);
  EXPECT_EQ(source.message.source, SourceKind::kProcfs);
  EXPECT_FALSE(source.hint_ring.valid());
  EXPECT_EQ(TextOf(source.interest), "interest");
}

TEST_F(ChannelTest, SubscribingTwiceIsRefused) {
  AgentClient client = Connect();
  ASSERT_TRUE(client.Subscribe().ok());
  NextAs<SourceEvent>(client);
  NextAs<SyncedEvent>(client);
  ASSERT_TRUE(client.Subscribe().ok());
  EXPECT_EQ(NextAs<ErrorEvent>(client).text, "already subscribed");
}

TEST_F(ChannelTest, OtherUsersMayNotSubscribe) {
  options_.server_uids = {getuid() + 1};
  Restart();
  AgentClient client = Connect();
  ASSERT_TRUE(client.Subscribe().ok());
  EXPECT_NE(NextAs<ErrorEvent>(client).text.find("may not subscribe"), std::string::npos);
  server_->AnnounceVm(agent_.MakeVm(7, getppid()));
  EXPECT_TRUE(loop_->RunOnce(milliseconds(1)).ok());
  EXPECT_FALSE((*client.Receive()).has_value());
  EXPECT_EQ(server_->counters().refused, 1u);
}

TEST_F(ChannelTest, UserIsTakenFromTheKernel) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to become another user";
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(kNobody) != 0) _exit(1);
    auto client = AgentClient::Connect(options_.path);
    if (!client.ok() || !client->Subscribe().ok()) _exit(2);
    auto event = client->Await(kPatience);
    _exit(event.ok() && std::holds_alternative<ErrorEvent>(*event) ? 0 : 3);
  }
  int status = 0;
  EXPECT_TRUE(Serves([&] { return waitpid(child, &status, WNOHANG) == child; }));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(ChannelTest, OwnTableIsSentAtOnceOrWhenItAppears) {
  AgentClient client = Connect();
  ASSERT_TRUE(client.RequestOwnTable().ok());
  EXPECT_TRUE(loop_->RunOnce(milliseconds(1)).ok());
  EXPECT_TRUE(loop_->RunOnce(milliseconds(1)).ok());
  EXPECT_FALSE((*client.Receive()).has_value());
  server_->AnnounceVm(agent_.MakeVm(1, getppid()));  // somebody else's
  server_->AnnounceVm(agent_.MakeVm(2, getpid()));
  EXPECT_EQ(NextAs<VmEvent>(client).message.vm_id, 2u);
  server_->AnnounceVm(agent_.MakeVm(3, getpid()));  // not awaited any more
  agent_.vms = {agent_.MakeVm(1, getppid()), agent_.MakeVm(2, getpid())};
  ASSERT_TRUE(client.RequestOwnTable().ok());
  EXPECT_EQ(NextAs<VmEvent>(client).message.vm_id, 2u);
}

TEST_F(ChannelTest, TableOfAProcessThatHadTheSamePidIsNotOwn) {
  AgentClient client = Connect();
  ASSERT_TRUE(client.RequestOwnTable().ok());
  Serves([&] { return server_->connections() == 1; });
  EXPECT_TRUE(loop_->RunOnce(milliseconds(1)).ok());
  VmAnnouncement earlier = agent_.MakeVm(1, getpid());
  --earlier.message.start_ticks;
  server_->AnnounceVm(earlier);
  EXPECT_FALSE((*client.Receive()).has_value());
}

TEST_F(ChannelTest, ReportRegionReachesTheAgentWithWhoSentIt) {
  AgentClient client = Connect();
  ASSERT_TRUE(client.SetReportRegion(9, 0x7f0000001000, 4).ok());
  NextAs<AckEvent>(client);
  ASSERT_EQ(agent_.regions.size(), 1u);
  EXPECT_EQ(agent_.regions[0].vm_id, 9u);
  EXPECT_EQ(agent_.regions[0].address, 0x7f0000001000u);
  EXPECT_EQ(agent_.regions[0].slot_count, 4u);
  EXPECT_EQ(agent_.region_peer.pid, getpid());
  EXPECT_EQ(agent_.region_peer.uid, getuid());
  EXPECT_EQ(agent_.region_peer.start_ticks, Procfs::Open()->Stat(getpid())->start_ticks);
  agent_.region_status = absl::PermissionDeniedError("not yours");
  ASSERT_TRUE(client.SetReportRegion(9, 0, 0).ok());
  EXPECT_EQ(NextAs<ErrorEvent>(client).text, "not yours");
}

TEST_F(ChannelTest, ReportRegionOutOfRangeNeverReachesTheAgent) {
  AgentClient client = Connect();
  const struct {
    uint64_t address;
    uint32_t slots;
  } bad[] = {{0x1000, 0},
             {0x1000, LOCKHOST_MAX_SLOTS + 1},
             {0x1004, 4},
             {uint64_t{1} << 56, 1},
             {(uint64_t{1} << 56) - 64, 1},
             {UINT64_MAX - 7, 4},
             {0xffff888000000000, 4}};
  for (const auto& region : bad) {
    ASSERT_TRUE(client.SetReportRegion(9, region.address, region.slots).ok());
    EXPECT_FALSE(NextAs<ErrorEvent>(client).text.empty());
  }
  EXPECT_TRUE(agent_.regions.empty());
}

TEST_F(ChannelTest, RegisterVcpus) {
  AgentClient client = Connect();
  const std::vector<pid_t> tids = {11, 0, 13};
  ASSERT_TRUE(client.RegisterVcpus(tids).ok());
  EXPECT_EQ(NextAs<ErrorEvent>(client).text, "no room");
  EXPECT_EQ(agent_.registered, (std::vector<int32_t>{11, 0, 13}));
  agent_.vms = {agent_.MakeVm(4, getpid())};
  ASSERT_TRUE(client.RegisterVcpus(tids).ok());
  EXPECT_EQ(NextAs<VmEvent>(client).message.vm_id, 4u);
  agent_.registered.clear();
  for (const std::vector<pid_t>& bad : {std::vector<pid_t>{}, {0, 0}, {-1}, {7, 8, 7}}) {
    ASSERT_TRUE(client.RegisterVcpus(bad).ok());
    EXPECT_FALSE(NextAs<ErrorEvent>(client).text.empty());
  }
  EXPECT_TRUE(agent_.registered.empty());
  const std::vector<pid_t> many(kMaxRegisteredVcpus + 1, 1);
  EXPECT_TRUE(absl::IsInvalidArgument(client.RegisterVcpus(many)));
}

TEST_F(ChannelTest, CountBeyondTheRecordIsRefused) {
  AgentClient client = Connect();
  auto message = MakeMessage<RegisterVcpusMessage>(MessageType::kRegisterVcpus);
  message.count = kMaxRegisteredVcpus + 1;
  ASSERT_TRUE(*SendPacket(client.fd(), MessageBytes(message), {}));
  EXPECT_EQ(NextAs<ErrorEvent>(client).text, "count is out of range");
}

TEST_F(ChannelTest, MalformedRecordsCloseTheConnection) {
  const auto good = MakeMessage<PlainMessage>(MessageType::kSubscribe);
  EXPECT_TRUE(IsRefused(MessageBytes(good).first(4))) << "shorter than a header";
  auto other = good;
  other.header.version = kChannelVersion + 1;
  EXPECT_TRUE(IsRefused(MessageBytes(other))) << "version";
  for (const uint32_t type : {0u, 5u, 16u, 17u, 21u, 4000000000u}) {
    other = good;
    other.header.type = static_cast<MessageType>(type);
    EXPECT_TRUE(IsRefused(MessageBytes(other))) << "type " << type;
  }
  const auto region = MakeMessage<ReportRegionMessage>(MessageType::kReportRegion);
  EXPECT_TRUE(IsRefused(MessageBytes(region).first(sizeof(region) - 8))) << "too short";
  const auto longer = MakeMessage<ReportRegionMessage>(MessageType::kSubscribe);
  EXPECT_TRUE(IsRefused(MessageBytes(longer))) << "too long";
  const std::vector<std::byte> huge(8192, std::byte{1});
  EXPECT_TRUE(IsRefused(huge)) << "longer than any record";
  const int fd = agent_.table.get();
  EXPECT_TRUE(IsRefused(MessageBytes(good), {&fd, 1})) << "with a descriptor";
}

TEST_F(ChannelTest, PeerThatDoesNotReadIsDroppedAndNobodyElseNotices) {
  AgentClient slow = Connect();
  AgentClient quick = Connect();
  for (AgentClient* client : {&slow, &quick}) {
    ASSERT_TRUE(client->Subscribe().ok());
  }
  NextAs<SourceEvent>(quick);
  NextAs<SyncedEvent>(quick);
  Serves([&] { return server_->connections() == 2; });
  for (uint64_t id = 1; server_->counters().too_slow == 0; ++id) {
    ASSERT_LT(id, 10'000u) << "never dropped";
    server_->AnnounceVm(agent_.MakeVm(id, getppid()));
    ASSERT_EQ(NextAs<VmEvent>(quick).message.vm_id, id);
  }
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(ChannelTest, QueuedMessagesArriveInOrderOnceThePeerReads) {
  AgentClient client = Connect();
  ASSERT_TRUE(client.Subscribe().ok());
  NextAs<SourceEvent>(client);
  NextAs<SyncedEvent>(client);
  constexpr uint64_t kMany = Peer::kMaxQueued;  // the socket itself holds some more
  for (uint64_t id = 1; id <= kMany; ++id) server_->AnnounceVm(agent_.MakeVm(id, getppid()));
  for (uint64_t id = 1; id <= kMany; ++id) {
    const auto vm = NextAs<VmEvent>(client);
    ASSERT_EQ(vm.message.vm_id, id);
    ASSERT_EQ(TextOf(vm.table), "table");
  }
  EXPECT_EQ(server_->counters().too_slow, 0u);
}

TEST_F(ChannelTest, DeadPeerIsForgotten) {
  {
    AgentClient client = Connect();
    ASSERT_TRUE(client.Subscribe().ok());
    ASSERT_TRUE(Serves([&] { return server_->connections() == 1; }));
  }
  EXPECT_TRUE(Serves([&] { return server_->connections() == 0; }));
  server_->AnnounceVm(agent_.MakeVm(1, getpid()));
}

TEST_F(ChannelTest, ConnectionsAreBoundedApartForServersAndOthers) {
  options_.server_uids = {getuid() + 1};
  options_.max_others = 2;
  Restart();
  AgentClient first = Connect();
  AgentClient second = Connect();
  ASSERT_TRUE(Serves([&] { return server_->connections() == 2; }));
  AgentClient third = Connect();
  EXPECT_TRUE(absl::IsUnavailable(Next(third).status()));
  EXPECT_EQ(server_->counters().turned_away, 1u);
  EXPECT_EQ(server_->connections(), 2u);
}

TEST_F(ChannelTest, PeerWhoseProcessHasGoneIsTurnedAway) {
  options_.start_ticks = [](pid_t) { return std::nullopt; };
  Restart();
  AgentClient client = Connect();
  EXPECT_TRUE(absl::IsUnavailable(Next(client).status()));
  EXPECT_EQ(server_->counters().turned_away, 1u);
}

TEST_F(ChannelTest, RunningOutOfDescriptorsTurnsOneAwayInsteadOfSpinning) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan needs a descriptor of its own to look at an object's type";
#endif
  AgentClient client = Connect();
  const UniqueFd next(dup(client.fd()));  // the lowest number that is still free
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none_left{static_cast<rlim_t>(next.get()) + 1, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_left), 0);
  EXPECT_TRUE(loop_->RunOnce(milliseconds(1)).ok());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(server_->counters().turned_away, 1u);
  EXPECT_TRUE(absl::IsUnavailable(Next(client).status()));
  AgentClient another = Connect();
  EXPECT_TRUE(Serves([&] { return server_->connections() == 1; }));
}

TEST_F(ChannelTest, SecondServerIsRefusedAndDeadOnesPathTakenOver) {
  FakeAgent other;
  EXPECT_TRUE(absl::IsAlreadyExists(ChannelServer::Create(loop_.get(), options_, &other).status()));
  server_.reset();
  EXPECT_TRUE(absl::IsNotFound(AgentClient::Connect(options_.path).status()));
  // A socket that was left behind by a killed agent.
  const auto die_listening = [&] {
    auto loop = EventLoop::Create();
    const auto server = ChannelServer::Create(loop->get(), options_, &other);
    _exit(server.ok() ? 0 : 1);  // no destructor runs
    return 0;
  };
  EXPECT_EQ(InChild(0, die_listening), 0);
  EXPECT_TRUE(absl::IsUnavailable(AgentClient::Connect(options_.path).status()));
  Restart();
  AgentClient client = Connect();
}

TEST_F(ChannelTest, BadSocketPathsAreErrors) {
  options_.path = std::string(200, 'x');
  EXPECT_FALSE(ChannelServer::Create(loop_.get(), options_, &agent_).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(AgentClient::Connect(options_.path).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(AgentClient::Connect("").status()));
  options_.path = "/proc/agent.sock";
  EXPECT_FALSE(ChannelServer::Create(loop_.get(), options_, &agent_).ok());
}

}  // namespace
}  // namespace lockhost::agent
