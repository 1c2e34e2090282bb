// SPDX-License-Identifier: Apache-2.0
#include "server/service/frame_inspector.h"

#include <gtest/gtest.h>

#include <string>

namespace lockhost::server {
namespace {

constexpr uint64_t kNow = 1'000'000'000'000;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr char kHeaders = 1;
constexpr char kSettings = 4;
constexpr char kPing = 6;
constexpr char kWindowUpdate = 8;
constexpr char kContinuation = 9;
constexpr char kEndHeaders = 4;

std::string Frame(char type, char flags, size_t length) {
  std::string frame = {static_cast<char>(length >> 16),
                       static_cast<char>(length >> 8),
                       static_cast<char>(length),
                       type,
                       flags,
                       0,
                       0,
                       0,
                       1};
  return frame.append(length, 'x');
}

const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string kHello = kMagic + Frame(kSettings, 0, 0);

class FrameInspectorTest : public testing::Test {
 protected:
  static ConnectionLimits Limits() {
    ConnectionLimits limits;
    limits.bytes_per_second = 1'000'000;
    limits.byte_burst = 1'000'000;
    limits.frames_per_second = 10;
    limits.frame_burst = 20;
    limits.calls_per_second = 1;
    limits.call_burst = 3;
    limits.header_block_bytes = 5'000;
    return limits;
  }

  std::optional<Refusal> Take(const std::string& bytes, uint64_t now_ns = kNow) {
    return inspector_.Take(bytes, now_ns);
  }

  FrameBudget budget_{Limits()};
  FrameInspector inspector_{&budget_};
};

TEST_F(FrameInspectorTest, AClientHasGreetedWhenItsFirstFrameBegins) {
  EXPECT_EQ(Take(kMagic), std::nullopt);
  EXPECT_FALSE(inspector_.greeted());
  EXPECT_EQ(Take(Frame(kSettings, 0, 6)), std::nullopt);
  EXPECT_TRUE(inspector_.greeted());
  EXPECT_FALSE(inspector_.called());
  EXPECT_EQ(Take(Frame(kHeaders, kEndHeaders, 100)), std::nullopt);
  EXPECT_TRUE(inspector_.called());
}

TEST_F(FrameInspectorTest, ByteByByteIsTheSame) {
  const std::string all =
      kHello + Frame(kHeaders, 0, 30) + Frame(kContinuation, kEndHeaders, 0) + Frame(kPing, 0, 8);
  for (const char byte : all) ASSERT_EQ(Take(std::string(1, byte)), std::nullopt);
  EXPECT_TRUE(inspector_.called());
}

TEST_F(FrameInspectorTest, WhatIsNoHttp2IsRefusedAtTheFirstWrongByte) {
  EXPECT_EQ(Take("PRI * HTTP/1"), Refusal::kNotHttp2);
}

TEST_F(FrameInspectorTest, TheFirstFrameIsSettings) {
  EXPECT_EQ(Take(kMagic + Frame(kPing, 0, 8)), Refusal::kNotHttp2);
}

TEST_F(FrameInspectorTest, AHeaderBlockIsNotInterruptedNorContinuedOutOfNowhere) {
  EXPECT_EQ(Take(kHello + Frame(kHeaders, 0, 10) + Frame(kPing, 0, 8)), Refusal::kNotHttp2);
  FrameInspector other(&budget_);
  EXPECT_EQ(other.Take(kHello + Frame(kContinuation, 0, 10), kNow), Refusal::kNotHttp2);
}

TEST_F(FrameInspectorTest, AFrameIsNoLargerThanWeAllowed) {
  EXPECT_EQ(Take(kHello + Frame(0, 0, 16'384)), std::nullopt);
  EXPECT_EQ(Take(Frame(0, 0, 16'385)), Refusal::kOversized);
}

TEST_F(FrameInspectorTest, AHeaderBlockIsBoundedOverAllItsFrames) {
  EXPECT_EQ(Take(kHello + Frame(kHeaders, 0, 2'500) + Frame(kContinuation, 0, 2'500)),
            std::nullopt);
  EXPECT_EQ(Take(Frame(kContinuation, 0, 1)), Refusal::kOversized);
}

TEST_F(FrameInspectorTest, EachHeaderBlockIsBoundedByItself) {
  EXPECT_EQ(Take(kHello + Frame(kHeaders, kEndHeaders, 3'000)), std::nullopt);
  EXPECT_EQ(Take(Frame(kHeaders, kEndHeaders, 3'000)), std::nullopt);
}

TEST_F(FrameInspectorTest, CallsHaveAPace) {
  std::string calls = kHello;
  for (int i = 0; i < 3; ++i) calls += Frame(kHeaders, kEndHeaders, 10);
  EXPECT_EQ(Take(calls), std::nullopt);
  EXPECT_EQ(Take(Frame(kHeaders, kEndHeaders, 10), kNow + kSecond), std::nullopt);
  EXPECT_EQ(Take(Frame(kHeaders, kEndHeaders, 10), kNow + kSecond), Refusal::kFlood);
}

TEST_F(FrameInspectorTest, FramesHaveAPaceEmptyOnesToo) {
  std::string frames = kHello;
  for (int i = 0; i < 19; ++i) frames += Frame(kSettings, 0, 0);
  EXPECT_EQ(Take(frames), std::nullopt);
  EXPECT_EQ(Take(Frame(kSettings, 0, 0)), Refusal::kFlood);
}

TEST_F(FrameInspectorTest, BytesHaveAPaceWhateverTheyAre) {
  EXPECT_EQ(Take(kHello + Frame(0, 0, 16'000)), std::nullopt);
  EXPECT_EQ(Take(std::string(1'000'000, 'x')), Refusal::kFlood);
}

TEST_F(FrameInspectorTest, ConnectionsOfOneServerShareTheBudget) {
  FrameInspector other(&budget_);
  std::string calls = kHello;
  for (int i = 0; i < 3; ++i) calls += Frame(kHeaders, kEndHeaders, 10);
  EXPECT_EQ(Take(calls), std::nullopt);
  EXPECT_EQ(other.Take(kHello + Frame(kHeaders, kEndHeaders, 10), kNow), Refusal::kFlood);
}

TEST_F(FrameInspectorTest, AnswersToWhatWasSentAreNoFlood) {
  ASSERT_EQ(Take(kHello), std::nullopt);
  for (int message = 0; message < 100; ++message) {
    inspector_.ExpectAnswers(1);
    ASSERT_EQ(Take(Frame(kWindowUpdate, 0, 4) + Frame(kWindowUpdate, 0, 4)), std::nullopt);
  }
}

TEST_F(FrameInspectorTest, OnlyWindowUpdatesAreAnswersAndOnlySoMany) {
  ASSERT_EQ(Take(kHello), std::nullopt);
  inspector_.ExpectAnswers(1'000'000);
  std::string answers;
  for (int i = 0; i < 200 + 19; ++i) answers += Frame(kWindowUpdate, 0, 4);
  EXPECT_EQ(Take(answers), std::nullopt);  // and what the burst has left
  inspector_.ExpectAnswers(1);
  EXPECT_EQ(Take(Frame(kPing, 0, 8)), Refusal::kFlood);
}

}  // namespace
}  // namespace lockhost::server
