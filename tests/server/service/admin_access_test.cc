// SPDX-License-Identifier: Apache-2.0
#include "server/service/admin_access.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/unique_fd.h"

namespace lockhost::server {
namespace {

constexpr AdminAccess kAccess = {.own_uid = 100, .group = 200};

TEST(AdminAccessTest, RootItsOwnUserAndTheGroupAreAdmitted) {
  EXPECT_TRUE(kAccess.Admits({.uid = 0, .gid = 0, .groups = {}}));
  EXPECT_TRUE(kAccess.Admits({.uid = 100, .gid = 1, .groups = {}}));
  EXPECT_TRUE(kAccess.Admits({.uid = 1, .gid = 200, .groups = {}}));
  EXPECT_TRUE(kAccess.Admits({.uid = 1, .gid = 1, .groups = {5, 200}}));
}

TEST(AdminAccessTest, NobodyElseIs) {
  EXPECT_FALSE(kAccess.Admits({.uid = 1, .gid = 1, .groups = {}}));
  EXPECT_FALSE(kAccess.Admits({.uid = 200, .gid = 100, .groups = {100, 0}}));
}

TEST(AdminAccessTest, APeersCredentialsAreThoseOfItsProcess) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd one(fds[0]);
  const UniqueFd other(fds[1]);
  const auto peer = PeerCredentialsOf(one.get());
  ASSERT_TRUE(peer.ok()) << peer.status();
  EXPECT_EQ(peer->uid, geteuid());
  EXPECT_EQ(peer->gid, getegid());
  std::vector<gid_t> groups(static_cast<size_t>(getgroups(0, nullptr)));
  ASSERT_EQ(getgroups(static_cast<int>(groups.size()), groups.data()),
            static_cast<int>(groups.size()));
  EXPECT_EQ(peer->groups, groups);
}

TEST(AdminAccessTest, WhatIsNoUnixSocketHasNoCredentials) {
  const UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(PeerCredentialsOf(file.get()).ok());
}

TEST(AdminAccessTest, AGroupIsFoundByItsName) {
  const auto root = FindGroup("root");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ(*root, 0u);
  EXPECT_TRUE(absl::IsInvalidArgument(FindGroup("no such group").status()));
}

}  // namespace
}  // namespace lockhost::server
