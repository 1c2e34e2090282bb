// SPDX-License-Identifier: Apache-2.0
#include "server/service/inherited_sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

namespace lockhost::server {
namespace {

using testing::HasSubstr;

// In that order, each with a descriptor of its own.
std::vector<NamedFd> Named(const std::vector<std::string>& names) {
  std::vector<NamedFd> fds;
  for (const std::string& name : names) fds.push_back({name, UniqueFd(eventfd(0, EFD_CLOEXEC))});
  return fds;
}

TEST(InheritedSocketsTest, AreToldApartByTheirNames) {
  std::vector<NamedFd> fds = Named({"vsock", "admin"});
  const int vsock = fds[0].fd.get();
  const int admin = fds[1].fd.get();
  const auto sockets = SortInherited(std::move(fds));
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_EQ(sockets->vsock.get(), vsock);
  EXPECT_EQ(sockets->admin.get(), admin);
}

TEST(InheritedSocketsTest, NoneIsFine) {
  const auto sockets = SortInherited({});
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_FALSE(sockets->admin.valid());
  EXPECT_FALSE(sockets->vsock.valid());
}

TEST(InheritedSocketsTest, OneThatNobodyUsesIsAnError) {
  const absl::Status error = SortInherited(Named({"admin", "vm"})).status();
  EXPECT_TRUE(absl::IsInvalidArgument(error));
  EXPECT_THAT(std::string(error.message()), HasSubstr("'vm'"));
}

TEST(InheritedSocketsTest, ANameThatComesTwiceIsAnError) {
  const absl::Status error = SortInherited(Named({"admin", "admin"})).status();
  EXPECT_TRUE(absl::IsInvalidArgument(error));
  EXPECT_THAT(std::string(error.message()), HasSubstr("two"));
}

}  // namespace
}  // namespace lockhost::server
