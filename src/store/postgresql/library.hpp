// libpq, loaded when a PostgreSQL database is opened and not before: it and what it needs itself
// (TLS, Kerberos, LDAP) take longer to load than the rest of the tool takes to start, and who keeps
// sessions in SQLite need not have it installed.
#pragma once

#include <libpq-fe.h>

namespace calib::postgresql {

/// libpq's functions by their own names, without the PQ.
struct Library {
  decltype(&::PQconnectStartParams) connectStartParams = nullptr;
  decltype(&::PQconnectPoll) connectPoll = nullptr;
  decltype(&::PQconninfo) conninfo = nullptr;
  decltype(&::PQconninfoParse) conninfoParse = nullptr;
  decltype(&::PQconndefaults) conndefaults = nullptr;
  decltype(&::PQconninfoFree) conninfoFree = nullptr;
  decltype(&::PQfinish) finish = nullptr;
  decltype(&::PQstatus) status = nullptr;
  decltype(&::PQerrorMessage) errorMessage = nullptr;
  decltype(&::PQsocket) socket = nullptr;
  decltype(&::PQbackendPID) backendPID = nullptr;
  decltype(&::PQparameterStatus) parameterStatus = nullptr;
  decltype(&::PQsetNoticeReceiver) setNoticeReceiver = nullptr;
  decltype(&::PQsetnonblocking) setnonblocking = nullptr;
  decltype(&::PQsendQuery) sendQuery = nullptr;
  decltype(&::PQsendQueryParams) sendQueryParams = nullptr;
  decltype(&::PQsetSingleRowMode) setSingleRowMode = nullptr;
  decltype(&::PQflush) flush = nullptr;
  decltype(&::PQconsumeInput) consumeInput = nullptr;
  decltype(&::PQisBusy) isBusy = nullptr;
  decltype(&::PQgetResult) getResult = nullptr;
  decltype(&::PQresultStatus) resultStatus = nullptr;
  decltype(&::PQresultErrorField) resultErrorField = nullptr;
  decltype(&::PQcmdStatus) cmdStatus = nullptr;
  decltype(&::PQntuples) ntuples = nullptr;
  decltype(&::PQgetisnull) getisnull = nullptr;
  decltype(&::PQgetvalue) getvalue = nullptr;
  decltype(&::PQgetlength) getlength = nullptr;
  decltype(&::PQclear) clear = nullptr;
  decltype(&::PQgetCancel) getCancel = nullptr;
  decltype(&::PQcancel) cancel = nullptr;
  decltype(&::PQfreeCancel) freeCancel = nullptr;
};

/// Loads it once. Throws std::runtime_error: one line that says what to install.
const Library& library();

}  // namespace calib::postgresql
