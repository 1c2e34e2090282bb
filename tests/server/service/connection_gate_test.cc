// SPDX-License-Identifier: Apache-2.0
#include "server/service/connection_gate.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <set>
#include <string>
#include <vector>

namespace lockhost::server {
namespace {

using testing::ElementsAre;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kNow = 1'000 * kSecond;

// As a client begins: the fixed bytes, an empty SETTINGS frame.
const std::string kHello =
    std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string("\0\0\0\4\0\0\0\0\0", 9);
// A call's header block of no bytes.
const std::string kCall = std::string("\0\0\0\1\4\0\0\0\1", 9);

class FakeWatcher : public ConnectionWatcher {
 public:
  absl::Status Watch(int peer_fd, int) override {
    watched.insert(peer_fd);
    return absl::OkStatus();
  }
  void Unwatch(int peer_fd, int) override { watched.erase(peer_fd); }
  void WaitWritable(int, bool wait) override { waits.push_back(wait); }

  std::set<int> watched;
  std::vector<bool> waits;
};

class ConnectionGateTest : public testing::Test {
 protected:
  struct Pair {
    UniqueFd peer;
    int fd;  // its other end, which the gate owns
  };

  static ConnectionLimits Limits() {
    ConnectionLimits limits;
    limits.connections = 4;
    limits.accepts_per_second = 10;
    limits.accept_burst = 8;
    limits.silence_ns = 5 * kSecond;
    return limits;
  }

  Pair Connect(uint64_t now_ns = kNow) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    last_admitted_ = gate_.Admit(std::make_unique<SocketStream>(UniqueFd(fds[0])), now_ns);
    return {UniqueFd(fds[1]), fds[0]};
  }

  // A connection of which gRPC has its end, with everything read that came so far.
  Pair ConnectAndGreet(UniqueFd* grpc) {
    Pair pair = Connect();
    Send(pair.peer, kHello);
    *grpc = gate_.OnPeer(pair.fd, false, kNow);
    EXPECT_TRUE(grpc->valid());
    EXPECT_EQ(Read(*grpc), kHello);
    return pair;
  }

  static void Send(const UniqueFd& fd, const std::string& bytes) {
    ASSERT_EQ(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  static std::string Read(const UniqueFd& fd) {
    std::string all;
    char buffer[65536];
    ssize_t size;
    while ((size = recv(fd.get(), buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
      all.append(buffer, static_cast<size_t>(size));
    }
    return all;
  }

  static bool SeesTheEnd(const UniqueFd& fd) {
    char byte;
    return recv(fd.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }

  // What the wire does when gRPC has written.
  void OnGrpc(const UniqueFd& grpc) { gate_.OnGrpc(gate_.Find(grpc.get())->pipe_fd()); }

  uint64_t refused(Refusal why) { return counters_.of(why); }

  ConnectionCounters counters_;
  FakeWatcher watcher_;
  ConnectionGate gate_{Limits(), &counters_, &watcher_};
  bool last_admitted_ = false;
};

TEST_F(ConnectionGateTest, GrpcGetsAConnectionOnceItSpeaksHttp2) {
  const Pair pair = Connect();
  EXPECT_FALSE(gate_.OnPeer(pair.fd, false, kNow).valid());  // nothing yet
  Send(pair.peer, kHello.substr(0, 10));
  EXPECT_FALSE(gate_.OnPeer(pair.fd, false, kNow).valid());
  Send(pair.peer, kHello.substr(10) + kCall);
  const UniqueFd grpc = gate_.OnPeer(pair.fd, false, kNow);
  ASSERT_TRUE(grpc.valid());
  EXPECT_NE(fcntl(grpc.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(Read(grpc), kHello + kCall);
  EXPECT_FALSE(gate_.OnPeer(pair.fd, false, kNow).valid());  // once
  EXPECT_EQ(counters_.accepted, 1u);
  EXPECT_EQ(counters_.open, 1u);
}

TEST_F(ConnectionGateTest, BytesGoBothWays) {
  UniqueFd grpc;
  const Pair pair = ConnectAndGreet(&grpc);
  Send(grpc, "to the peer");
  OnGrpc(grpc);
  EXPECT_EQ(Read(pair.peer), "to the peer");
  Send(pair.peer, kCall);
  gate_.OnPeer(pair.fd, false, kNow);
  EXPECT_EQ(Read(grpc), kCall);
}

TEST_F(ConnectionGateTest, WhatIsRefusedNeverReachesGrpc) {
  UniqueFd grpc;
  const Pair pair = ConnectAndGreet(&grpc);
  Send(pair.peer, std::string("\x01\0\0\0\0\0\0\0\1", 9));  // a frame of 65,536 bytes
  gate_.OnPeer(pair.fd, false, kNow);
  EXPECT_EQ(Read(grpc), "");
  EXPECT_TRUE(SeesTheEnd(grpc));
  EXPECT_TRUE(SeesTheEnd(pair.peer));
  EXPECT_EQ(refused(Refusal::kOversized), 1u);
  EXPECT_EQ(gate_.open(), 0u);
  EXPECT_TRUE(watcher_.watched.empty());
}

TEST_F(ConnectionGateTest, GrpcGetsPortions) {
  UniqueFd grpc;
  const Pair pair = ConnectAndGreet(&grpc);
  const std::string data = std::string("\0\x3f\xf7\0\0\0\0\0\1", 9) + std::string(0x3ff7, 'x');
  Send(pair.peer, data + data);
  gate_.OnPeer(pair.fd, false, kNow);
  EXPECT_EQ(Read(grpc), data);
  EXPECT_EQ(gate_.deadline_ns(), 0u);  // there is more
  gate_.Continue(kNow);
  EXPECT_EQ(Read(grpc), data);
}

TEST_F(ConnectionGateTest, WhoDoesNotReadIsNotReadFrom) {
  UniqueFd grpc;
  const Pair pair = ConnectAndGreet(&grpc);
  std::string written;
  const std::string some(16'384, 'y');
  while (watcher_.waits.empty()) {
    Send(grpc, some);
    written += some;
    OnGrpc(grpc);
  }
  EXPECT_THAT(watcher_.waits, ElementsAre(true));
  Send(pair.peer, kCall);
  gate_.OnPeer(pair.fd, false, kNow);
  EXPECT_EQ(Read(grpc), "");
  std::string got = Read(pair.peer);
  gate_.OnPeer(pair.fd, false, kNow);  // it takes more
  got += Read(pair.peer);
  EXPECT_EQ(got, written);
  EXPECT_THAT(watcher_.waits, ElementsAre(true, false));
  EXPECT_EQ(Read(grpc), kCall);
}

TEST_F(ConnectionGateTest, WhatGrpcWroteBeforeItClosedIsSent) {
  UniqueFd grpc;
  const Pair pair = ConnectAndGreet(&grpc);
  const int pipe_fd = gate_.Find(grpc.get())->pipe_fd();
  Send(grpc, "goodbye");
  grpc.reset();
  gate_.OnGrpc(pipe_fd);
  EXPECT_EQ(Read(pair.peer), "goodbye");
  EXPECT_TRUE(SeesTheEnd(pair.peer));
  EXPECT_EQ(gate_.open(), 0u);
}

TEST_F(ConnectionGateTest, APeerThatGoesIsGoneForGrpcToo) {
  UniqueFd grpc;
  Pair pair = ConnectAndGreet(&grpc);
  pair.peer.reset();
  gate_.OnPeer(pair.fd, /*hung_up=*/true, kNow);
  EXPECT_TRUE(SeesTheEnd(grpc));
  EXPECT_EQ(counters_.open, 0u);
}

TEST_F(ConnectionGateTest, OpenConnectionsAreBounded) {
  std::vector<Pair> pairs;
  for (int i = 0; i < 4; ++i) {
    pairs.push_back(Connect());
    EXPECT_TRUE(last_admitted_);
  }
  const Pair fifth = Connect();
  EXPECT_FALSE(last_admitted_);
  EXPECT_TRUE(SeesTheEnd(fifth.peer));
  EXPECT_EQ(refused(Refusal::kTooMany), 1u);
  gate_.OnPeer(pairs[2].fd, /*hung_up=*/true, kNow);
  const Pair sixth = Connect();
  EXPECT_TRUE(last_admitted_);
}

TEST_F(ConnectionGateTest, ConnectionsThatComeTooFastAreRefusedAndTheGateSaysWhenToGoOn) {
  for (int i = 0; i < 8; ++i) {
    const Pair pair = Connect();
    gate_.OnPeer(pair.fd, /*hung_up=*/true, kNow);
  }
  const Pair ninth = Connect();
  EXPECT_FALSE(last_admitted_);
  EXPECT_EQ(refused(Refusal::kTooFast), 1u);
  EXPECT_EQ(gate_.AcceptableAtNs(), kNow + 100 * kMs);
  const Pair tenth = Connect(kNow + 100 * kMs);
  EXPECT_TRUE(last_admitted_);
}

TEST_F(ConnectionGateTest, WhoMakesNoCallInTimeIsClosedWhetherGrpcHasItOrNot) {
  EXPECT_EQ(gate_.deadline_ns(), UINT64_MAX);
  const Pair mute = Connect();
  UniqueFd idle_grpc;
  const Pair idle = ConnectAndGreet(&idle_grpc);
  UniqueFd calling_grpc;
  const Pair calling = ConnectAndGreet(&calling_grpc);
  Send(calling.peer, kCall);
  gate_.OnPeer(calling.fd, false, kNow);
  EXPECT_EQ(gate_.deadline_ns(), kNow + 5 * kSecond);
  gate_.Continue(kNow + 5 * kSecond - 1);
  EXPECT_EQ(gate_.open(), 3u);
  gate_.Continue(kNow + 5 * kSecond);
  EXPECT_TRUE(SeesTheEnd(mute.peer));
  EXPECT_TRUE(SeesTheEnd(idle.peer));
  EXPECT_FALSE(SeesTheEnd(calling.peer));
  EXPECT_EQ(refused(Refusal::kSilent), 2u);
  EXPECT_EQ(gate_.deadline_ns(), UINT64_MAX);
}

TEST_F(ConnectionGateTest, NewLimitsHoldFromNowOn) {
  const Pair first = Connect();
  ConnectionLimits limits = Limits();
  limits.connections = 1;
  gate_.SetLimits(limits);
  EXPECT_EQ(gate_.open(), 1u);
  const Pair second = Connect();
  EXPECT_FALSE(last_admitted_);
  limits.connections = 2;
  gate_.SetLimits(limits);
  const Pair third = Connect();
  EXPECT_TRUE(last_admitted_);
}

TEST_F(ConnectionGateTest, AStreamThatKeepsItsConnectionTooLongSendsNothing) {
  UniqueFd grpc;
  const Pair pair = ConnectAndGreet(&grpc);
  const std::shared_ptr<Relay> kept = gate_.Find(grpc.get());
  gate_.Clear();
  EXPECT_EQ(kept->SendOut(), Relay::State::kOver);
  EXPECT_TRUE(SeesTheEnd(pair.peer));
  EXPECT_EQ(gate_.Find(grpc.get()), nullptr);
}

}  // namespace
}  // namespace lockhost::server
