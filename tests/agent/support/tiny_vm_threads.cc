// SPDX-License-Identifier: Apache-2.0

// TinyVm, second part: the threads that run its vCPUs.
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <string>
#include <utility>

#include "tests/agent/support/cpus.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kCommands = 0x30000;

// As for a vCPU in the guest: a signal takes the thread out.
thread_local volatile sig_atomic_t kicked = 0;

}  // namespace

uint32_t* TinyVm::command(int vcpu) const {
  return reinterpret_cast<uint32_t*>(memory_ + kCommands + static_cast<size_t>(vcpu) * 64);
}

int TinyVm::StartThread(int vcpu) {
  // A thread in HLT is waked by a signal alone; one that does nothing is enough.
  signal(SIGUSR1, [](int) { kicked = 1; });
  auto thread = std::make_unique<VcpuThread>();
  VcpuThread* raw = thread.get();
  raw->vcpu = vcpu;
  std::unique_lock lock(mutex_);
  raw->thread = std::thread([this, raw] {
    pthread_setname_np(pthread_self(), ("lab-vcpu " + std::to_string(raw->vcpu)).c_str());
    BindToCpu(bound_ ? 0 : -1);
    if (tick_.count() > 0) StartTicking();
    RunThread(raw);
  });
  changed_.wait(lock, [raw] { return raw->tid != 0; });
  threads_.push_back(std::move(thread));
  if (vcpu >= 0) on_vcpu_thread_();
  return static_cast<int>(threads_.size()) - 1;
}

void TinyVm::RunThread(VcpuThread* self) {
  std::unique_lock lock(mutex_);
  self->tid = static_cast<pid_t>(syscall(SYS_gettid));
  changed_.notify_all();
  for (;;) {
    changed_.wait(lock, [&] {
      return self->stop || self->job ||
             (self->vcpu >= 0 && !vcpus_[static_cast<size_t>(self->vcpu)].parked);
    });
    if (self->stop) return;
    if (self->job) {
      const auto job = std::exchange(self->job, nullptr);
      lock.unlock();
      job();
      lock.lock();
      continue;
    }
    const int vcpu = self->vcpu;
    lock.unlock();
    Enter(vcpu);
    lock.lock();
  }
}

// Until the vCPU has left guest code, or what stands for it.
void TinyVm::Enter(int vcpu) {
  if (backend_ == Backend::kKvm) {
    ioctl(vcpus_[static_cast<size_t>(vcpu)].fd.get(), KVM_RUN, 0);
  } else if (guest_ == Guest::kHalts) {
    pause();
  } else {
    const std::atomic_ref<uint32_t> leave(*command(vcpu));
    kicked = 0;
    while (leave.load(std::memory_order_relaxed) == 0 && kicked == 0) {
    }
  }
}

std::vector<pid_t> TinyVm::VcpuThreads() const {
  std::vector<pid_t> tids(vcpus_.size(), 0);
  for (const auto& thread : threads_) {
    if (thread->vcpu >= 0 && !thread->stop) tids[static_cast<size_t>(thread->vcpu)] = thread->tid;
  }
  return tids;
}

void TinyVm::Park(int vcpu) {
  const std::lock_guard lock(mutex_);
  vcpus_[static_cast<size_t>(vcpu)].parked = true;
  std::atomic_ref<uint32_t>(*command(vcpu)).store(1);
}

void TinyVm::Unpark(int vcpu) {
  const std::lock_guard lock(mutex_);
  vcpus_[static_cast<size_t>(vcpu)].parked = false;
  std::atomic_ref<uint32_t>(*command(vcpu)).store(0);
  changed_.notify_all();
}

void TinyVm::Do(int thread, std::function<void()> job) {
  VcpuThread& busy = *threads_[static_cast<size_t>(thread)];
  std::unique_lock lock(mutex_);
  busy.job = std::move(job);
  changed_.notify_all();
  while (busy.job) {  // out of the guest, if it is there
    lock.unlock();
    syscall(SYS_tgkill, getpid(), busy.tid, SIGUSR1);
    sched_yield();
    lock.lock();
  }
}

// The timer ends with the thread's process; one for each thread there ever is.
void TinyVm::StartTicking() const {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGUSR1;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(tick_);
  const std::chrono::nanoseconds rest = tick_ - seconds;
  const timespec period = {seconds.count(), rest.count()};
  const itimerspec spec = {period, period};
  timer_settime(timer, 0, &spec, nullptr);
}

void TinyVm::Assign(int thread, int vcpu) {
  VcpuThread& moved = *threads_[static_cast<size_t>(thread)];
  const int before = moved.vcpu;
  if (before >= 0) Park(before);
  {
    const std::lock_guard lock(mutex_);
    moved.vcpu = vcpu;
  }
  if (vcpu < 0) return;
  Unpark(vcpu);
  on_vcpu_thread_();
}

void TinyVm::JoinThread(int thread) {
  VcpuThread& ending = *threads_[static_cast<size_t>(thread)];
  if (!ending.thread.joinable()) return;
  if (ending.vcpu >= 0) Park(ending.vcpu);
  {
    const std::lock_guard lock(mutex_);
    ending.stop = true;
    changed_.notify_all();
  }
  // Until it has seen the flag: the signal may come just before it enters the guest.
  while (ending.tid != 0 && syscall(SYS_tgkill, getpid(), ending.tid, SIGUSR1) == 0) {
    sched_yield();
  }
  ending.thread.join();
}

}  // namespace lockhost::agent
