// SPDX-License-Identifier: Apache-2.0
#include "server/service/short_way.h"

#include <gtest/gtest.h>

#include <string>

namespace lockhost::server {
namespace {

constexpr uint32_t kStream = 5;

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream_id, const std::string& payload) {
  std::string frame(http2::kHeaderBytes, 0);
  http2::WriteHeader({static_cast<uint32_t>(payload.size()), type, flags, stream_id}, frame.data());
  return frame + payload;
}

std::string Big32(uint32_t value) {
  std::string bytes(4, 0);
  http2::WriteBig32(value, bytes.data());
  return bytes;
}

std::string Update(uint32_t stream_id, uint32_t size) {
  return Frame(http2::kWindowUpdate, 0, stream_id, Big32(size));
}

std::string Settings(uint16_t id, uint32_t value) {
  return Frame(http2::kSettings, 0, 0,
               std::string{static_cast<char>(id >> 8), static_cast<char>(id)} + Big32(value));
}

std::string Data(const std::string& message) { return Frame(http2::kData, 0, kStream, message); }

class ShortWayTest : public testing::Test {
 protected:
  void SetUp() override { In("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); }

  // What gRPC gets of it.
  std::string In(const std::string& bytes) {
    std::string for_grpc;
    way_.TakeIn(bytes, &for_grpc);
    return for_grpc;
  }

  // gRPC writes a first message of so many bytes, and it is found.
  void Open(size_t size = 1'000) {
    const std::string message(size, 'm');
    way_.Await(message);
    way_.FollowOut(Frame(http2::kHeaders, 4, kStream, "headers") + Data(message));
    ASSERT_EQ(way_.TakeFound(), kStream);
    grpc_bytes_ = size;
  }

  bool Spend(uint32_t size) { return way_.Spend(kStream, size, grpc_bytes_); }

  ShortWay way_;
  uint64_t grpc_bytes_ = 0;
};

TEST_F(ShortWayTest, WhatThePeerGrantsIsWithheldThenSpent) {
  Open();
  EXPECT_FALSE(Spend(1));  // nothing was granted yet
  EXPECT_EQ(In(Update(kStream, 1'000)), "");
  EXPECT_FALSE(Spend(1));  // the connection has its own window
  EXPECT_EQ(In(Update(0, 1'000)), "");
  EXPECT_TRUE(Spend(600));
  EXPECT_TRUE(Spend(400));
  EXPECT_FALSE(Spend(1));
  // Paid back: gRPC need not know.
  EXPECT_EQ(In(Update(0, 1'000) + Update(kStream, 1'000)), "");
  EXPECT_TRUE(Spend(1'000));
}

TEST_F(ShortWayTest, MoreThanIsNeededIsForGrpc) {
  Open(20'000);
  EXPECT_EQ(In(Update(kStream, 20'000)), Update(kStream, 20'000 - ShortWay::kMostWithheld));
  EXPECT_EQ(In(Update(kStream, 7)), Update(kStream, 7));
  EXPECT_EQ(In(Update(0, 0x7fffffff)), Update(0, 0x7fffffff - ShortWay::kMostWithheld));
}

TEST_F(ShortWayTest, OfASmallWindowNothingIsWithheld) {
  In(Settings(4, 1'000));
  Open(100);
  EXPECT_EQ(In(Update(kStream, 100)), Update(kStream, 100));
  // The connection's own is the first one until something is granted.
  EXPECT_EQ(In(Update(0, 100)), "");
  EXPECT_FALSE(Spend(1));
}

TEST_F(ShortWayTest, AWindowThatGrpcHasUsedUpIsForGrpcFirst) {
  Open(16'000);
  for (int i = 0; i < 3; ++i) way_.FollowOut(Data(std::string(16'000, 'x')));
  grpc_bytes_ += 48'000;
  EXPECT_EQ(In(Update(kStream, 16'000)), Update(kStream, 16'000));
  EXPECT_EQ(In(Update(kStream, 16'000)), Update(kStream, 15'233));  // 32,768 are left to it
}

TEST_F(ShortWayTest, OnlyWhenAllThatGrpcWroteHasGoneOut) {
  Open();
  In(Update(0, 1'000) + Update(kStream, 1'000));
  grpc_bytes_ += 10;
  EXPECT_FALSE(Spend(1));
  const std::string next = Data("0123456789");
  way_.FollowOut(next.substr(0, 3));
  EXPECT_FALSE(Spend(1));
  way_.FollowOut(next.substr(3, 10));
  EXPECT_FALSE(Spend(1));
  way_.FollowOut(next.substr(13));
  EXPECT_TRUE(Spend(1));
}

TEST_F(ShortWayTest, NotWithinAFrameOfAnotherStream) {
  Open();
  In(Update(0, 1'000) + Update(kStream, 1'000));
  const std::string other = Frame(http2::kHeaders, 4, 7, "headers");
  way_.FollowOut(other.substr(0, 12));
  EXPECT_FALSE(Spend(1));
  way_.FollowOut(other.substr(12));
  EXPECT_TRUE(Spend(1));
}

TEST_F(ShortWayTest, AStreamThatHasEndedGetsNothing) {
  for (const std::string& end :
       {Frame(http2::kHeaders, http2::kEndStream, kStream, "trailers"),
        Frame(http2::kResetStream, 0, kStream, Big32(8)), Frame(http2::kData, 1, kStream, "")}) {
    Open();
    In(Update(0, 1'000) + Update(kStream, 1'000));
    EXPECT_TRUE(Spend(1));
    way_.FollowOut(end);
    EXPECT_FALSE(Spend(1));
  }
  Open();
  In(Update(kStream, 1'000));
  In(Frame(http2::kResetStream, 0, kStream, Big32(8)));
  EXPECT_FALSE(Spend(1));
}

TEST_F(ShortWayTest, APeerThatChangesItsWindowsIsServedByGrpcAlone) {
  Open();
  In(Update(0, 1'000) + Update(kStream, 1'000));
  const std::string settings = Settings(4, 10);
  EXPECT_EQ(In(settings), settings);
  EXPECT_FALSE(Spend(1));
}

TEST_F(ShortWayTest, ByteByByteIsTheSame) {
  Open();
  const std::string bytes = Settings(3, 100) + Update(kStream, 10'000) + Frame(6, 0, 0, "12345678");
  std::string for_grpc;
  for (const char byte : bytes) way_.TakeIn({&byte, 1}, &for_grpc);
  EXPECT_EQ(for_grpc, Settings(3, 100) + Update(kStream, 10'000 - ShortWay::kMostWithheld) +
                          Frame(6, 0, 0, "12345678"));
}

TEST_F(ShortWayTest, WhatIsWrongIsForGrpcToSay) {
  Open();
  for (const std::string& wrong : {Update(kStream, 0), Update(0, 0), Update(99, 10),
                                   Frame(http2::kWindowUpdate, 0, kStream, "12345")}) {
    EXPECT_EQ(In(wrong), wrong);
  }
}

TEST_F(ShortWayTest, AnotherMessageIsNotTakenForTheAwaitedOne) {
  way_.Await("message");
  way_.FollowOut(Data("massage") + Data("message"));
  EXPECT_EQ(way_.TakeFound(), 0u);
  way_.Await("message");
  way_.FollowOut(Data("longer message"));
  EXPECT_EQ(way_.TakeFound(), 0u);
  way_.FollowOut(Data("message"));  // nobody awaits it any more
  EXPECT_EQ(way_.TakeFound(), 0u);
}

}  // namespace
}  // namespace lockhost::server
