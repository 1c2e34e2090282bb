// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/message_peek.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockhost::guest_agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream_id, const std::string& payload) {
  std::string frame(http2::kHeaderBytes, 0);
  http2::WriteHeader({static_cast<uint32_t>(payload.size()), type, flags, stream_id}, frame.data());
  return frame + payload;
}

std::string Message(const std::string& bytes, char compressed = 0) {
  std::string prefix(5, compressed);
  http2::WriteBig32(static_cast<uint32_t>(bytes.size()), prefix.data() + 1);
  return prefix + bytes;
}

std::string Data(const std::string& payload, uint8_t flags = 0) {
  return Frame(http2::kData, flags, 1, payload);
}

class MessagePeekTest : public testing::Test {
 protected:
  std::vector<std::string> messages_;
  bool go_on_ = true;
  MessagePeek peek_{1, 100, [this](std::string_view message) {
                      messages_.emplace_back(message);
                      return go_on_;
                    }};
};

TEST_F(MessagePeekTest, SeesTheMessagesOfItsStream) {
  EXPECT_TRUE(peek_.Take(Data(Message("one")) + Data(Message("two") + Message(""))));
  EXPECT_THAT(messages_, ElementsAre("one", "two", ""));
  EXPECT_EQ(peek_.seen(), 3u);
}

TEST_F(MessagePeekTest, HoweverTheyAreCut) {
  const std::string bytes = Frame(http2::kHeaders, 4, 1, "headers") +
                            Data(Message("begins here").substr(0, 7)) +
                            Data(Message("begins here").substr(7) + Message("whole"));
  for (const char byte : bytes) peek_.Take({&byte, 1});
  EXPECT_THAT(messages_, ElementsAre("begins here", "whole"));
}

TEST_F(MessagePeekTest, WhatElseThereIsCannotWait) {
  EXPECT_FALSE(peek_.Take(Frame(http2::kSettings, 0, 0, "")));
  EXPECT_FALSE(peek_.Take(Data(Message("one")) + Frame(http2::kHeaders, 5, 1, "trailers")));
  EXPECT_FALSE(peek_.Take(Data("", http2::kEndStream)));
  EXPECT_FALSE(peek_.Take(Frame(http2::kData, 0, 3, Message("another call's"))));
  EXPECT_TRUE(peek_.Take(Data(Message("two"))));
  EXPECT_THAT(messages_, ElementsAre("one", "two"));
}

TEST_F(MessagePeekTest, WhatTheHostGrantsCanWait) {
  EXPECT_TRUE(peek_.Take(Frame(http2::kWindowUpdate, 0, 0, "\1\1\1\1")));
  EXPECT_THAT(messages_, IsEmpty());
}

TEST_F(MessagePeekTest, WhatItDoesNotReadIsForGrpc) {
  EXPECT_FALSE(peek_.Take(Data(Message("one") + Message("squeezed", 1) + Message("three"))));
  EXPECT_THAT(messages_, ElementsAre("one"));
  EXPECT_EQ(peek_.seen(), 1u);
  EXPECT_TRUE(peek_.blind());
  EXPECT_FALSE(peek_.Take(Data(Message("four"))));
  EXPECT_EQ(peek_.seen(), 1u);
}

TEST_F(MessagePeekTest, APaddedFrameBlindsIt) {
  EXPECT_FALSE(peek_.Take(Data(Message("one"), http2::kPadded)));
  EXPECT_THAT(messages_, IsEmpty());
}

TEST_F(MessagePeekTest, AMessageThatIsTooLargeBlindsIt) {
  EXPECT_FALSE(peek_.Take(Data(Message(std::string(101, 'x')))));
  EXPECT_THAT(messages_, IsEmpty());
}

TEST_F(MessagePeekTest, WhoeverReadsThemMaySayThatItIsEnough) {
  go_on_ = false;
  EXPECT_FALSE(peek_.Take(Data(Message("one") + Message("two"))));
  EXPECT_THAT(messages_, ElementsAre("one"));
}

}  // namespace
}  // namespace lockhost::guest_agent
