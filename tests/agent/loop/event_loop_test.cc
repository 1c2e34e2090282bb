// SPDX-License-Identifier: Apache-2.0
#include "agent/loop/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace lockhost::agent {
namespace {

using std::chrono::milliseconds;

TEST(EventLoopTest, CallsBackWhatIsReady) {
  auto loop = *EventLoop::Create();
  const UniqueFd ready(eventfd(1, 0));
  const UniqueFd idle(eventfd(0, 0));
  int calls = 0;
  ASSERT_TRUE(loop->Watch(ready.get(), EPOLLIN, [&](uint32_t) { ++calls; }).ok());
  ASSERT_TRUE(loop->Watch(idle.get(), EPOLLIN, [&](uint32_t) { FAIL(); }).ok());
  EXPECT_FALSE(loop->Watch(ready.get(), EPOLLIN, [](uint32_t) {}).ok()) << "twice";
  EXPECT_FALSE(loop->Watch(-1, EPOLLIN, [](uint32_t) {}).ok());
  ASSERT_TRUE(loop->RunOnce(milliseconds(0)).ok());
  EXPECT_EQ(calls, 1);
  loop->Change(ready.get(), 0);
  ASSERT_TRUE(loop->RunOnce(milliseconds(0)).ok());
  EXPECT_EQ(calls, 1);
}

TEST(EventLoopTest, CallbackMayForgetItselfAndOthers) {
  auto loop = *EventLoop::Create();
  const UniqueFd first(eventfd(1, 0));
  const UniqueFd second(eventfd(1, 0));
  int calls = 0;
  const auto forget_both = [&](uint32_t) {
    ++calls;
    loop->Forget(first.get());
    loop->Forget(second.get());
  };
  ASSERT_TRUE(loop->Watch(first.get(), EPOLLIN, forget_both).ok());
  ASSERT_TRUE(loop->Watch(second.get(), EPOLLIN, forget_both).ok());
  ASSERT_TRUE(loop->RunOnce(milliseconds(0)).ok());
  EXPECT_EQ(calls, 1);
  loop->Forget(first.get());  // once more: nothing happens
}

TEST(EventLoopTest, RunsUntilStopped) {
  auto loop = *EventLoop::Create();
  int calls = 0;
  auto timer = *Timer::Create(loop.get(), [&] {
    if (++calls == 3) loop->Stop();
  });
  const UniqueFd ready(eventfd(1, 0));
  ASSERT_TRUE(
      loop->Watch(ready.get(), EPOLLIN, [&](uint32_t) { timer->Set(milliseconds(0)); }).ok());
  ASSERT_TRUE(loop->Run().ok());
  EXPECT_EQ(calls, 3);
}

TEST(TimerTest, ExpiresOnceForEachSet) {
  auto loop = *EventLoop::Create();
  int calls = 0;
  auto timer = *Timer::Create(loop.get(), [&] { ++calls; });
  timer->Set(milliseconds(-5));
  ASSERT_TRUE(loop->RunOnce(milliseconds(10'000)).ok());
  EXPECT_EQ(calls, 1);
  ASSERT_TRUE(loop->RunOnce(milliseconds(5)).ok());
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace lockhost::agent
