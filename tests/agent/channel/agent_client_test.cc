// SPDX-License-Identifier: Apache-2.0

// The client's own checks, against an agent that talks nonsense.
#include "agent/channel/agent_client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <span>
#include <string>

#include "agent/channel/packet.h"
#include "tests/agent/support/eventually.h"

namespace lockhost::agent {
namespace {

using std::chrono::milliseconds;

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    agent_.reset(fds[0]);
    client_ = std::make_unique<AgentClient>(UniqueFd(fds[1]));
  }
  absl::Status Hear(std::span<const std::byte> bytes, std::span<const int> fds = {}) {
    EXPECT_TRUE(SendPacket(agent_.get(), bytes, fds).ok());
    return client_->Receive().status();
  }

  UniqueFd agent_;
  UniqueFd file_{memfd_create("test", MFD_CLOEXEC)};
  std::unique_ptr<AgentClient> client_;
};

TEST_F(ClientTest, RefusesRecordsThatAreNotAsTheyShouldBe) {
  const int fds[] = {file_.get(), file_.get()};
  const std::span<const int> one(fds, 1);
  const std::span<const int> two(fds, 2);
  auto vm = MakeMessage<VmMessage>(MessageType::kVm);
  EXPECT_TRUE(Hear(MessageBytes(vm), one).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(vm)))) << "no table";
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(vm), two))) << "two tables";
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(vm).first(100), one)));
  vm.vm_index = kMaxVms;
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(vm), one))) << "index";
  vm = MakeMessage<VmMessage>(MessageType::kVm);
  vm.header.version = kChannelVersion + 1;
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(vm), one))) << "version";
  auto source = MakeMessage<SourceMessage>(MessageType::kSource);
  source.descriptors = kHintRingFd | kInterestFd;
  EXPECT_TRUE(Hear(MessageBytes(source), two).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(source), one))) << "no ring";
  source.descriptors = kHintRingFd | kStatsFd;
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(source), two))) << "no interest";
  source.descriptors = kInterestFd | 1u << 31;
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(source), two))) << "nobody knows what";
  const auto ack = MakeMessage<PlainMessage>(MessageType::kAck);
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(ack), one))) << "stray descriptor";
  const auto request = MakeMessage<PlainMessage>(MessageType::kSubscribe);
  EXPECT_TRUE(absl::IsInvalidArgument(Hear(MessageBytes(request)))) << "a request";
}

TEST_F(ClientTest, ErrorTextWithoutAnEndIsCut) {
  auto message = MakeMessage<ErrorMessage>(MessageType::kError);
  std::fill(std::begin(message.text), std::end(message.text), 'x');
  ASSERT_TRUE(*SendPacket(agent_.get(), MessageBytes(message), {}));
  const auto event = client_->Await(kPatience);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(std::get<ErrorEvent>(*event).text, std::string(sizeof(message.text), 'x'));
}

TEST_F(ClientTest, SaysWhenTheAgentHasGoneOrIsSilent) {
  EXPECT_TRUE(absl::IsDeadlineExceeded(client_->Await(milliseconds(1)).status()));
  agent_.reset();
  EXPECT_TRUE(absl::IsUnavailable(client_->Await(kPatience).status()));
  EXPECT_TRUE(absl::IsUnavailable(client_->Subscribe()));
}

TEST_F(ClientTest, SaysWhenTheAgentDoesNotRead) {
  absl::Status status;
  for (int i = 0; i < 100'000 && status.ok(); ++i) status = client_->RequestOwnTable();
  EXPECT_TRUE(absl::IsUnavailable(status));
}

TEST_F(ClientTest, DescriptorsOfARefusedRecordAreClosed) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  UniqueFd reader(pipe_fds[0]);
  UniqueFd writer(pipe_fds[1]);
  const int fd = writer.get();
  EXPECT_FALSE(Hear(MessageBytes(MakeMessage<PlainMessage>(MessageType::kAck)), {&fd, 1}).ok());
  writer.reset();
  char byte;
  EXPECT_EQ(read(reader.get(), &byte, 1), 0) << "somebody still holds the other end";
}

}  // namespace
}  // namespace lockhost::agent
