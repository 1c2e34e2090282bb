// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/host_pipe.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <thread>

#include "tests/agent/support/temp_dir.h"

namespace lockhost::guest_agent {
namespace {

class HostPipeTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = directory_.path() + "/host.sock";
    listener_ = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    path_.copy(address.sun_path, path_.size());
    ASSERT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(listener_.get(), 1), 0);
    auto pipe = HostPipe::Connect(path_);
    ASSERT_TRUE(pipe.ok()) << pipe.status();
    pipe_ = *std::move(pipe);
    grpc_ = pipe_->TakeGrpcEnd();
    host_ = UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

  static void Say(const UniqueFd& fd, const std::string& bytes) {
    ASSERT_EQ(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  static std::string Hear(const UniqueFd& fd) {
    char buffer[65'536];
    const ssize_t size = recv(fd.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    return size < 0 ? "nothing" : std::string(buffer, static_cast<size_t>(size));
  }

  agent::TempDir directory_;
  std::string path_;
  UniqueFd listener_, host_, grpc_;
  std::unique_ptr<HostPipe> pipe_;
};

TEST_F(HostPipeTest, WhatIsReadIsGrpcsLater) {
  Say(host_, "one");
  EXPECT_EQ(pipe_->Receive(), "one");
  Say(host_, "two");
  EXPECT_EQ(pipe_->Receive(), "two");
  EXPECT_EQ(Hear(grpc_), "nothing");
  EXPECT_EQ(pipe_->kept(), 6u);
  EXPECT_FALSE(pipe_->HasTakenIn());
  pipe_->Give();
  EXPECT_FALSE(pipe_->HasTakenIn());
  EXPECT_EQ(Hear(grpc_), "onetwo");
  EXPECT_TRUE(pipe_->HasTakenIn());
}

TEST_F(HostPipeTest, WhatGrpcDoesNotTakeYetIsKept) {
  std::string all;
  while (pipe_->kept() == 0) {
    const std::string portion(10'000, static_cast<char>('a' + all.size() / 10'000 % 26));
    Say(host_, portion);
    all.append(pipe_->Receive());
    pipe_->Give();
  }
  std::string heard;
  while (heard.size() < all.size()) {
    const std::string more = Hear(grpc_);
    ASSERT_NE(more, "nothing");
    heard += more;
    pipe_->Give();
  }
  EXPECT_EQ(heard, all);
  EXPECT_TRUE(pipe_->HasTakenIn());
}

TEST_F(HostPipeTest, WhatGrpcWritesGoesOutInOrderThoughTheHostIsSlow) {
  std::string all;
  std::string heard;
  for (int i = 0; i < 100; ++i) {
    const std::string portion(9'000, static_cast<char>('a' + i % 26));
    Say(grpc_, portion);
    all += portion;
    pipe_->SendOut();
    if (i % 3 == 0) heard += Hear(host_);
  }
  while (heard.size() < all.size()) {
    const std::string more = Hear(host_);
    ASSERT_NE(more, "nothing");
    heard += more;
    pipe_->SendOut();
  }
  EXPECT_EQ(heard, all);
}

TEST_F(HostPipeTest, AHostThatClosesHasClosedForGrpcToo) {
  Say(host_, "last");
  host_.reset();
  EXPECT_EQ(pipe_->Receive(), "last");
  EXPECT_EQ(pipe_->Receive(), "");
  EXPECT_TRUE(pipe_->over());
  pipe_->Give();
  EXPECT_EQ(Hear(grpc_), "last");
  EXPECT_EQ(Hear(grpc_), "");
}

TEST_F(HostPipeTest, AGrpcThatHasClosedIsNoHindrance) {
  grpc_.reset();
  Say(host_, "one");
  EXPECT_EQ(pipe_->Receive(), "one");
  pipe_->Give();
  EXPECT_TRUE(pipe_->HasTakenIn());
}

TEST_F(HostPipeTest, HangingEndsTheWait) {
  std::thread other([this] { pipe_->Hang(); });
  while (!pipe_->over()) EXPECT_EQ(pipe_->Receive(), "");
  other.join();
}

TEST(HostPipe, AHostThatIsNotThereIsAnError) {
  agent::TempDir directory;
  EXPECT_FALSE(HostPipe::Connect(directory.path() + "/nobody.sock").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(HostPipe::Connect(std::string(200, 'x')).status()));
}

TEST(HostPipe, OnlyAUnixSocketsPathIsOne) {
  EXPECT_EQ(UnixPathOf("unix:/run/host.sock"), "/run/host.sock");
  EXPECT_EQ(UnixPathOf("unix:///run/host.sock"), "/run/host.sock");
  EXPECT_EQ(UnixPathOf("unix:host.sock"), "host.sock");
  EXPECT_EQ(UnixPathOf("unix-abstract:host"), "");
  EXPECT_EQ(UnixPathOf("dns:///host:9465"), "");
}

}  // namespace
}  // namespace lockhost::guest_agent
