// SPDX-License-Identifier: Apache-2.0
//
// The publisher's thread, from other threads.
#include "server/publisher/publisher.h"

#include <gtest/gtest.h>

#include "tests/agent/support/eventually.h"
#include "tests/server/publisher/fake_sink.h"
#include "tests/server/table_fixture.h"

namespace lockhost::server {
namespace {

using agent::Eventually;

TEST(PublisherTest, ServesStreamsThatOthersBringUntilItIsDrained) {
  FakeTransport transport;
  PublisherStats stats;
  auto publisher = Publisher::Start({}, MonotonicClock(), &transport, &stats);
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  TestTable table;
  table.Set(0, LOCKHOST_RUN_STATE_RUNNING);
  (*publisher)->AgentHere(nullptr, nullptr);
  (*publisher)->PutVm(MakeRecord(7, 0, table));
  std::vector<std::shared_ptr<FakeGuest>> guests;
  for (int i = 0; i < 8; ++i) {
    guests.push_back(std::make_shared<FakeGuest>());
    (*publisher)->AddStream(7, std::make_unique<FakeSink>(guests.back()));
  }
  for (const auto& guest : guests) ASSERT_TRUE(Eventually([&] { return guest->count() == 1; }));
  (*publisher)->ApplyDemand(7, {.has_demand = true, .ttl_ns = 900'000'000, .awaited = {}});
  for (const auto& guest : guests) ASSERT_TRUE(Eventually([&] { return guest->count() >= 2; }));
  EXPECT_TRUE(guests[0]->message(1).has_delta());
  (*publisher)->Drain(5'000'000'000);
  for (const auto& guest : guests) EXPECT_TRUE(guest->end().has_value());
}

TEST(PublisherTest, AfterEachDrainNoStreamIsLeft) {
  FakeTransport transport;
  PublisherStats stats;
  auto publisher = Publisher::Start({}, MonotonicClock(), &transport, &stats);
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  for (int i = 0; i < 20; ++i) {
    const auto guest = std::make_shared<FakeGuest>();
    (*publisher)->AddStream(7, std::make_unique<FakeSink>(guest));
    (*publisher)->Drain(5'000'000'000);
    ASSERT_EQ(guest.use_count(), 1) << "the sink is there still, drain " << i;
  }
}

TEST(PublisherTest, WhatCanWaitKeepsNobodyElseWaiting) {
  FakeTransport transport;
  PublisherStats stats;
  auto publisher = Publisher::Start({}, MonotonicClock(), &transport, &stats);
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  TestTable table;
  table.Set(0, LOCKHOST_RUN_STATE_RUNNING);
  (*publisher)->AgentHere(nullptr, nullptr);
  (*publisher)->PutVm(MakeRecord(7, 0, table));
  const auto guest = std::make_shared<FakeGuest>();
  (*publisher)->AddStream(7, std::make_unique<FakeSink>(guest));
  ASSERT_TRUE(Eventually([&] { return guest->count() == 1; }));
  (*publisher)->ApplyDemand(7, {.has_demand = false, .ttl_ns = 0, .awaited = {0}});
  (*publisher)->ApplyDemand(7, {.has_demand = true, .ttl_ns = 900'000'000, .awaited = {}});
  ASSERT_TRUE(Eventually([&] { return guest->count() >= 2 && guest->message(1).has_delta(); }));
  (*publisher)->Drain(5'000'000'000);
}

TEST(PublisherTest, WithoutWorkItSleeps) {
  FakeTransport transport;
  PublisherStats stats;
  auto publisher = Publisher::Start({}, MonotonicClock(), &transport, &stats);
  ASSERT_TRUE(publisher.ok());
  TestTable table;
  (*publisher)->AgentHere(nullptr, nullptr);
  (*publisher)->PutVm(MakeRecord(7, 0, table));
  const auto guest = std::make_shared<FakeGuest>();
  (*publisher)->AddStream(7, std::make_unique<FakeSink>(guest));
  ASSERT_TRUE(Eventually([&] { return guest->count() >= 3; }));  // two heartbeats
  EXPECT_LE(stats.wakeups, 10u);
  (*publisher)->RemoveVm(7);
  ASSERT_TRUE(Eventually([&] { return guest->end().has_value(); }));
}

}  // namespace
}  // namespace lockhost::server
