// SPDX-License-Identifier: Apache-2.0
#include "server/service/bounded_log.h"

#include <gtest/gtest.h>

namespace lockhost::server {
namespace {

constexpr uint64_t kStart = 1'000'000'000'000;
constexpr uint64_t kSecond = 1'000'000'000;

TEST(BoundedLogTest, TellsHowManyItLeftOut) {
  BoundedLog log;
  for (uint32_t i = 0; i < BoundedLog::kLinesAtOnce; ++i) EXPECT_EQ(log.Take("bad", kStart), "bad");
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(log.Take("bad", kStart), std::nullopt);
  EXPECT_EQ(log.Take("worse", kStart + kSecond), "worse (1000 messages before it were left out)");
  EXPECT_EQ(log.Take("well", kStart + 2 * kSecond), "well");
}

TEST(BoundedLogTest, WhatGuestsSayIsOneLineOfText) {
  EXPECT_EQ(BoundedLog().Take("value=\n\x1b[2J", kStart), "value=\\n\\x1b[2J");
}

}  // namespace
}  // namespace lockhost::server
