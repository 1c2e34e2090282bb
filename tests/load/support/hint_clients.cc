// SPDX-License-Identifier: Apache-2.0
#include "tests/load/support/hint_clients.h"

#include <algorithm>
#include <random>
#include <utility>

#include "common/clock.h"
#include "lockhost/v1/hints.grpc.pb.h"

namespace lockhost::load {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint64_t kDemandTtlNs = 1'000'000'000;
constexpr std::chrono::milliseconds kLookInterval{5};

grpc::ChannelArguments ChannelSettings() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // As lockhost-guestd: a host that hangs is noticed.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  return arguments;
}

std::chrono::system_clock::time_point InSome(std::chrono::milliseconds time) {
  return std::chrono::system_clock::now() + time;
}

}  // namespace

// One guest. Each operation that is under way has a tag; a life ends when none is left, and
// then the next one begins.
class HintClients::Guest {
 public:
  class Tag {
   public:
    using Handler = void (Guest::*)(bool ok);
    Tag(Guest* guest, Handler handler) : guest_(guest), handler_(handler) {}
    void* Pend() {
      pending_ = true;
      return this;
    }
    bool pending() const { return pending_; }
    void Proceed(bool ok) {
      pending_ = false;
      (guest_->*handler_)(ok);
      guest_->EndIfQuiet();
    }

   private:
    Guest* const guest_;
    const Handler handler_;
    bool pending_ = false;
  };

  Guest(HintClients* clients, size_t number, GuestPlan plan)
      : clients_(clients), number_(number), plan_(std::move(plan)), random_(number) {}

  bool live() const { return messages_ > 0; }
  bool idle() const { return life_ == nullptr; }

  void Look(uint64_t now_ns, bool stopping) {
    if (life_ == nullptr && !stopping && now_ns >= begin_at_ns_) Begin(now_ns);
    if (life_ == nullptr) return;
    if (stopping) life_->watch.TryCancel();
    if (live() && !plan_.awaited.empty() && now_ns >= report_at_ns_) Report(now_ns);
  }

 private:
  // One connection and its two calls.
  struct Life {
    std::unique_ptr<v1::HintService::Stub> stub;
    grpc::ClientContext watch, report;
    std::unique_ptr<grpc::ClientAsyncReader<v1::WatchHintsResponse>> reader;
    std::unique_ptr<grpc::ClientAsyncWriter<v1::ReportHoldersRequest>> writer;
    v1::WatchHintsResponse message;
    v1::ReportHoldersResponse reported;
    grpc::Status watch_status, report_status;
    bool reports = false;  // the call of reports takes more
  };

  void Begin(uint64_t now_ns);
  void Report(uint64_t now_ns);
  void OnStarted(bool ok);
  void OnRead(bool ok);
  void OnWatchOver(bool ok);
  void OnReportStarted(bool ok) { life_->reports = ok; }
  void OnReportWritten(bool ok) { life_->reports = ok; }
  void OnReportOver(bool ok);
  void EndIfQuiet();

  HintClients* const clients_;
  const size_t number_;
  const GuestPlan plan_;
  std::minstd_rand random_;
  std::unique_ptr<Life> life_;
  uint64_t messages_ = 0;  // of this life
  uint64_t generation_ = 0;
  uint64_t begin_at_ns_ = 0;
  uint64_t report_at_ns_ = 0;
  Tag started_{this, &Guest::OnStarted}, read_{this, &Guest::OnRead};
  Tag watch_over_{this, &Guest::OnWatchOver}, report_started_{this, &Guest::OnReportStarted};
  Tag written_{this, &Guest::OnReportWritten}, report_over_{this, &Guest::OnReportOver};
};

void HintClients::Guest::Begin(uint64_t now_ns) {
  if (clients_->observer_.on_begin) clients_->observer_.on_begin(number_, now_ns);
  life_ = std::make_unique<Life>();
  life_->stub = v1::HintService::NewStub(grpc::CreateCustomChannel(
      plan_.target, grpc::InsecureChannelCredentials(), ChannelSettings()));
  v1::WatchHintsRequest request;
  request.set_protocol_version(1);
  request.add_capabilities(v1::CAPABILITY_AWAITED_VCPUS);
  life_->reader = life_->stub->PrepareAsyncWatchHints(&life_->watch, request, &clients_->queue_);
  life_->reader->StartCall(started_.Pend());
  if (plan_.awaited.empty()) return;
  life_->writer =
      life_->stub->PrepareAsyncReportHolders(&life_->report, &life_->reported, &clients_->queue_);
  life_->writer->StartCall(report_started_.Pend());
  life_->writer->Finish(&life_->report_status, report_over_.Pend());
  // Spread over the interval: a thousand guests do not speak at once.
  report_at_ns_ = now_ns + random_() % clients_->options_.report_interval.count() * kNsPerMs;
}

void HintClients::Guest::OnStarted(bool ok) {
  if (ok) return life_->reader->Read(&life_->message, read_.Pend());
  life_->reader->Finish(&life_->watch_status, watch_over_.Pend());
}

void HintClients::Guest::OnRead(bool ok) {
  if (!ok) return life_->reader->Finish(&life_->watch_status, watch_over_.Pend());
  const v1::WatchHintsResponse& message = life_->message;
  if (message.has_snapshot()) generation_ = message.snapshot().generation();
  ++messages_;
  clients_->observer_.on_message(number_, message, MonotonicClock().now_ns());
  if (messages_ == clients_->options_.messages_each_stream) life_->watch.TryCancel();
  life_->reader->Read(&life_->message, read_.Pend());
}

void HintClients::Guest::Report(uint64_t now_ns) {
  if (!life_->reports || written_.pending()) return;
  v1::ReportHoldersRequest request;
  request.set_generation(generation_);
  request.mutable_demand()->set_ttl_ns(kDemandTtlNs);
  for (const uint32_t vcpu_id : plan_.awaited) {
    v1::HolderReport* holder = request.add_holders();
    holder->set_vcpu_id(vcpu_id);
    holder->set_contended(true);
  }
  life_->writer->Write(request, written_.Pend());
  if (clients_->observer_.on_report) clients_->observer_.on_report(number_, now_ns);
  report_at_ns_ = now_ns + clients_->options_.report_interval.count() * kNsPerMs;
}

void HintClients::Guest::OnWatchOver(bool) { life_->report.TryCancel(); }

// The call of reports may end alone, for lack of a host or for what it said: a life has both.
void HintClients::Guest::OnReportOver(bool) {
  life_->reports = false;
  life_->watch.TryCancel();
}

void HintClients::Guest::EndIfQuiet() {
  for (const Tag* tag :
       {&started_, &read_, &watch_over_, &report_started_, &written_, &report_over_}) {
    if (tag->pending()) return;
  }
  const grpc::Status why = life_->watch_status;
  life_.reset();
  messages_ = 0;
  const uint64_t now_ns = MonotonicClock().now_ns();
  const uint64_t retry_ms = clients_->options_.retry.count();
  begin_at_ns_ = now_ns + (retry_ms + random_() % (retry_ms + 1)) * kNsPerMs;
  if (clients_->observer_.on_end) clients_->observer_.on_end(number_, why, now_ns);
}

HintClients::HintClients(Options options, Observer observer)
    : options_(options), observer_(std::move(observer)) {}

HintClients::~HintClients() {
  const uint64_t now_ns = MonotonicClock().now_ns();
  for (const auto& guest : guests_) guest->Look(now_ns, /*stopping=*/true);
  const auto quiet = [](const auto& guest) { return guest->idle(); };
  void* tag;
  bool ok;
  while (!std::all_of(guests_.begin(), guests_.end(), quiet) && queue_.Next(&tag, &ok)) {
    static_cast<Guest::Tag*>(tag)->Proceed(ok);
  }
  queue_.Shutdown();
  while (queue_.Next(&tag, &ok)) continue;
}

size_t HintClients::Add(GuestPlan plan) {
  guests_.push_back(std::make_unique<Guest>(this, guests_.size(), std::move(plan)));
  return guests_.size() - 1;
}

void HintClients::Run(const std::function<bool()>& done) {
  uint64_t look_at_ns = 0;
  while (!done()) {
    const uint64_t now_ns = MonotonicClock().now_ns();
    if (now_ns >= look_at_ns) {
      for (const auto& guest : guests_) guest->Look(now_ns, /*stopping=*/false);
      look_at_ns = now_ns + kLookInterval.count() * kNsPerMs;
    }
    void* tag;
    bool ok;
    if (queue_.AsyncNext(&tag, &ok, InSome(kLookInterval)) == grpc::CompletionQueue::GOT_EVENT) {
      static_cast<Guest::Tag*>(tag)->Proceed(ok);
    }
  }
}

size_t HintClients::live() const {
  return static_cast<size_t>(std::count_if(guests_.begin(), guests_.end(),
                                           [](const auto& guest) { return guest->live(); }));
}

}  // namespace lockhost::load
