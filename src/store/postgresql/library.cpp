#include "store/postgresql/library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <stdexcept>
#include <string>

#include "base/system.hpp"

namespace calib::postgresql {
namespace {

// Its interface since PostgreSQL 8.2; it only grows.
std::vector<std::string> file_names() { return system::library_names("pq", 5); }

template <typename Function>
void find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(handle, name));
  if (function == nullptr) {
    throw std::runtime_error(
        fmt::format("{} has no {}: install a newer one", file_names().front(), name));
  }
}

Library load() {
  // Never closed: what it loads leaves handlers for the end of the process behind.
  void* handle = nullptr;
  for (const auto& name : file_names()) {
    if (handle == nullptr) handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (handle == nullptr) {
    throw std::runtime_error(
        fmt::format("{} cannot be loaded, which PostgreSQL takes: install it (Debian's package "
                    "libpq5)",
                    file_names().front()));
  }
  Library pq;
  find(handle, "PQconnectStartParams", pq.connectStartParams);
  find(handle, "PQconnectPoll", pq.connectPoll);
  find(handle, "PQconninfo", pq.conninfo);
  find(handle, "PQconninfoParse", pq.conninfoParse);
  find(handle, "PQconndefaults", pq.conndefaults);
  find(handle, "PQconninfoFree", pq.conninfoFree);
  find(handle, "PQfinish", pq.finish);
  find(handle, "PQstatus", pq.status);
  find(handle, "PQerrorMessage", pq.errorMessage);
  find(handle, "PQsocket", pq.socket);
  find(handle, "PQbackendPID", pq.backendPID);
  find(handle, "PQparameterStatus", pq.parameterStatus);
  find(handle, "PQsetNoticeReceiver", pq.setNoticeReceiver);
  find(handle, "PQsetnonblocking", pq.setnonblocking);
  find(handle, "PQsendQuery", pq.sendQuery);
  find(handle, "PQsendQueryParams", pq.sendQueryParams);
  find(handle, "PQsetSingleRowMode", pq.setSingleRowMode);
  find(handle, "PQflush", pq.flush);
  find(handle, "PQconsumeInput", pq.consumeInput);
  find(handle, "PQisBusy", pq.isBusy);
  find(handle, "PQgetResult", pq.getResult);
  find(handle, "PQresultStatus", pq.resultStatus);
  find(handle, "PQresultErrorField", pq.resultErrorField);
  find(handle, "PQcmdStatus", pq.cmdStatus);
  find(handle, "PQntuples", pq.ntuples);
  find(handle, "PQgetisnull", pq.getisnull);
  find(handle, "PQgetvalue", pq.getvalue);
  find(handle, "PQgetlength", pq.getlength);
  find(handle, "PQclear", pq.clear);
  find(handle, "PQgetCancel", pq.getCancel);
  find(handle, "PQcancel", pq.cancel);
  find(handle, "PQfreeCancel", pq.freeCancel);
  return pq;
}

}  // namespace

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

}  // namespace calib::postgresql
