@echo off
rem collect.cmd, written by ocsdoctor.
rem
rem Writes what a server says of itself into one folder, for
rem     ocsdoctor scan --host-dump FOLDER
rem Run it on the OCS server, or on the one that shall become it:
rem     collect.cmd [FOLDER]
rem Without FOLDER it makes ocsdoctor-COMPUTER beside itself. Run it as an
rem administrator (Windows Server 2008 and later: "Run as administrator"), since
rem some of what it reads is shown to administrators only. What cannot be read is
rem named at the end, and left out.
rem
rem It needs what Windows Server 2003 and later come with, and changes nothing
rem outside of its folder. (On Server 2003, wmic sets itself up when it is used for
rem the first time.)
rem
rem What it does not take: private keys, the SAM and SECURITY hives, LSA secrets,
rem the product key of Windows, passwords in the files of IIS, and the keys that
rem those are encrypted with. Of the Lsa, Session Manager and Windows NT keys only
rem the values that are needed are read, none of what stands below them.

verify other 2>nul
setlocal enableextensions disabledelayedexpansion
rem A 32-bit shell would see another registry and other system files.
if not defined PROCESSOR_ARCHITEW6432 goto native
if not exist "%SystemRoot%\Sysnative\cmd.exe" goto native
"%SystemRoot%\Sysnative\cmd.exe" /d /c ""%~f0" %*"
exit /b %errorlevel%

:native
set "out=%~1"
if not defined out set "out=%~dp0ocsdoctor-%COMPUTERNAME%"
for %%d in ("%out%") do set "out=%%~fd"
if "%out:~-1%"=="\" set "out=%out:~0,-1%"
if exist "%out%" (
    echo The folder "%out%" is there already. Name another: collect.cmd FOLDER
    exit /b 1
)
mkdir "%out%\registry"
if not exist "%out%\registry" (
    echo The folder "%out%" cannot be made. Name another: collect.cmd FOLDER
    exit /b 1
)
mkdir "%out%\events" "%out%\files" "%out%\versions" "%out%\other"
set "manifest=%out%\manifest.txt"
set "work=%out%\work.txt"
set "lastparent="
set "system=%SystemRoot%\System32"
set /a number=0
set /a failed=0
set "software=HKLM\SOFTWARE\Microsoft"
set "windows=HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion"
set "control=HKLM\SYSTEM\CurrentControlSet\Control"
set "services=HKLM\SYSTEM\CurrentControlSet\Services"

echo Collecting into "%out%"
>"%manifest%" echo collect=1
>>"%manifest%" echo computer=%COMPUTERNAME%
call :named host "%services%\Tcpip\Parameters" Hostname
call :named domain "%services%\Tcpip\Parameters" Domain
call :named oemcp "%control%\Nls\CodePage" OEMCP
for /f "tokens=2 delims==" %%t in ('wmic os get LocalDateTime /value ^<nul 2^>nul') do >>"%manifest%" echo time=%%t

echo   registry
for %%v in (CurrentVersion CurrentBuildNumber CSDVersion ProductName EditionID InstallationType InstallDate SystemRoot) do call :value "%software%\Windows NT\CurrentVersion" %%v
call :values "%control%\Session Manager"
call :values "%control%\Lsa"
call :value "%control%\Session Manager\Environment" PROCESSOR_ARCHITECTURE
call :key "HKLM\HARDWARE\DESCRIPTION" System
call :key "%control%" ProductOptions
call :key "%control%" Windows
call :key "%control%\SecurityProviders" SCHANNEL
call :key "%control%\Lsa" MSV1_0
call :key "%control%\Lsa" FipsAlgorithmPolicy
call :key "%windows%" Uninstall
call :key "%windows%" "Component Based Servicing" Packages
call :key "%windows%" "Component Based Servicing" RebootPending
call :key "%windows%" "WindowsUpdate" "Auto Update"
call :key "%windows%" Setup "Oc Manager"
call :key "%software%\Windows NT\CurrentVersion" HotFix
call :key "%software%" Updates
call :key "%software%" "NET Framework Setup"
call :key "%software%" InetStp
call :key "%software%" "Real-Time Communications"
call :key "%software%" EnterpriseCertificates
call :key "%software%" MSMQ Setup
call :key "%software%\SystemCertificates" MY Certificates
for %%s in (ROOT CA AuthRoot Disallowed TrustedPeople) do call :key "%software%\SystemCertificates" %%s
call :key "HKLM\SOFTWARE\Policies" Microsoft SystemCertificates
call :key "HKLM\SOFTWARE\Policies" Microsoft WindowsFirewall
for %%s in (RtcSrv RTCIMMCU RTCACPMCU RTCDATAMCU RTCAVMCU RTCASMCU RTCAPPSRV RTCCAA RTCCAS RTCACD RTCCCS RtcQmsAgent) do call :key "%services%" %%s
for %%s in (RTCDATAPROXY RTCMEDIARELAY RTCMRAUTH RTCMEDSRV MSSQL$RTC SQLBrowser) do call :key "%services%" %%s
for %%s in (W3SVC WAS IISADMIN MSMQ Winmgmt wmiApSrv RpcSs Netlogon W32Time MpsSvc SharedAccess RemoteRegistry) do call :key "%services%" %%s
call :key "%services%" HTTP
call :key "%services%" Tcpip Parameters
call :instance "%software%"
call :instance "HKLM\SOFTWARE\Wow6432Node\Microsoft"

echo   services
sc queryex type= service state= all bufsize= 250000 >"%out%\services.txt" 2>nul
call :took services services.txt ""

echo   event logs
call :events system System
call :events application Application
call :events ocs "Office Communications Server"

echo   files
call :config "%system%\inetsrv\config\applicationHost.config"
call :metabase "%system%\inetsrv\MetaBase.xml"
for %%f in (dsa.msc wmp.dll) do call :there "%system%\%%f"

echo   versions of programs
call :version msasn1 "%system%\msasn1.dll"
for %%s in (RtcSrv RTCIMMCU RTCACPMCU RTCDATAMCU RTCAVMCU RTCASMCU RTCAPPSRV RtcQmsAgent RTCDATAPROXY RTCMEDIARELAY RTCMRAUTH RTCMEDSRV) do call :program %%s

echo   what OCS says of its addresses
wmic path MSFT_SIPListeningAddressData get Enabled,InstanceID,IPAddress,Port,TLSCertIssuer,TLSCertSN,TransportType /value <nul >"%out%\other\listeners.txt" 2>nul
set "code=%errorlevel%"
rem WBEM_E_INVALID_CLASS: OCS is not there.
if "%code%"=="-2147217392" (
    >>"%manifest%" echo wmi=absent - MSFT_SIPListeningAddressData
) else (
    call :noted wmi other\listeners.txt MSFT_SIPListeningAddressData
)

echo   for people to read
call :other ver ver
call :other ipconfig ipconfig /all
call :other netstat netstat -ano
call :other time w32tm /query /status
call :other sslcert netsh http show sslcert
call :other updates wmic qfe list
if exist "%work%" del "%work%"

echo Done. Not read: %failed%.
if not "%failed%"=="0" type "%out%\failed.txt"
echo Pack the folder "%out%" into a ZIP file and give it to
echo     ocsdoctor scan --host-dump FILE.zip
exit /b 0

rem :named NAME KEY VALUE puts a value of the registry into the manifest.
:named
call :find %2 %3
>>"%manifest%" echo %1=%found%
goto :eof

rem :find KEY VALUE sets found to a value of the registry.
:find
set "found="
for /f "tokens=1,2*" %%a in ('reg query %1 /v %2 2^>nul') do if /i "%%a"=="%~2" set "found=%%c"
goto :eof

rem :key PARENT KEY [SUBKEY] exports a key, unless its parent can be read and does not have it.
:key
set "key=%~1\%~2"
if not "%~3"=="" set "key=%key%\%~3"
call :listed %1 %2
if "%listed%"=="yes" if not "%~3"=="" call :listed "%~1\%~2" %3
if "%listed%"=="no" (
    >>"%manifest%" echo registry=absent - %key%
    goto :eof
)
set /a number+=1
reg export "%key%" "%out%\registry\%number%.reg" >nul 2>nul
set "code=%errorlevel%"
call :noted registry registry\%number%.reg "%key%"
goto :eof

rem :instance PARENT takes where the instance RTC of SQL Server keeps its data.
:instance
reg query %1 >nul 2>nul
if errorlevel 1 goto :eof
call :key %1 "Microsoft SQL Server" "Instance Names"
call :find "%~1\Microsoft SQL Server\Instance Names\SQL" RTC
if defined found call :value "%~1\Microsoft SQL Server\%found%\Setup" SQLDataRoot
goto :eof

rem :listed PARENT KEY sets listed to yes, to no if the parent can be read and does not have the key, or to unknown.
:listed
set "parent=%~1"
set "full=HKEY_LOCAL_MACHINE%parent:~4%\%~2"
if "%parent%"=="%lastparent%" goto search
set "lastparent=%parent%"
set "readable=yes"
reg query %1 >"%work%" 2>nul
if errorlevel 1 set "readable=no"
:search
set "listed=unknown"
if "%readable%"=="no" goto :eof
set "listed=no"
for /f "usebackq delims=" %%k in ("%work%") do if /i "%%k"=="%full%" set "listed=yes"
goto :eof

rem :values KEY reads the values of a key, without what is below it.
:values
set /a number+=1
reg query %1 >"%out%\registry\%number%.txt" 2>nul
set "code=%errorlevel%"
call :noted values registry\%number%.txt %1
goto :eof

rem :value KEY NAME reads one value of a key. Where that fails and the key can be read, there is none.
:value
set /a number+=1
reg query %1 /v %2 >"%out%\registry\%number%.txt" 2>nul
set "code=%errorlevel%"
if "%code%"=="0" goto shown
reg query %1 >nul 2>nul
if errorlevel 1 goto shown
>>"%manifest%" echo value=absent - %2 %~1
goto :eof
:shown
call :noted value registry\%number%.txt "%2 %~1"
goto :eof

rem :events NAME LOG reads the newest 2000 records of a log; on Server 2003 it saves the log.
:events
if not exist "%system%\wevtutil.exe" goto saved
wevtutil qe %2 /c:2000 /rd:true /f:xml /e:Events /uni:true >"%out%\events\%1.xml" 2>nul
set "code=%errorlevel%"
set "file=events\%1.xml"
goto logged
:saved
wmic /privileges:enable nteventlog where "LogFileName='%~2'" call BackupEventLog "%out%\events\%1.evt" <nul >nul 2>nul
set "code=%errorlevel%"
set "file=events\%1.evt"
:logged
if "%code%"=="0" if exist "%out%\%file%" goto have
if "%code%"=="0" set "code=1"
call :listed "%services%\EventLog" %2
if "%listed%"=="no" (
    >>"%manifest%" echo events=absent - %~2
    goto :eof
)
:have
call :noted events %file% %2
goto :eof

rem :state PATH sets state to present, to absent if its folder can be listed and does not have it, or to unknown.
:state
set "state=present"
if exist %1 goto :eof
set "state=absent"
if not exist "%~dp1" goto :eof
dir /a /b "%~dp1" >nul 2>nul
if errorlevel 1 set "state=unknown"
goto :eof

rem :there PATH tells whether a file is there.
:there
call :state %1
set "code=5"
if "%state%"=="unknown" goto noted_there
>>"%manifest%" echo file=%state% - %~1
goto :eof
:noted_there
call :noted file - %1
goto :eof

rem :config PATH copies a configuration of IIS 7 without its passwords and keys.
:config
call :state %1
if not "%state%"=="present" goto there
set "lastparent="
"%system%\findstr.exe" /v /i "sessionKey=" %1 >"%work%" 2>nul
set "target=%out%\files\%~nx1"
for /f "usebackq eol=| delims=" %%l in ("%work%") do set "line=%%l" & call :cut
set "code=1"
if not exist "%target%" goto configured
rem Rather none than one with a password in it.
"%system%\find.exe" /i "password=" <"%target%" >nul 2>nul
if errorlevel 1 set "code=0"
if "%code%"=="1" del "%target%"
:configured
call :noted file files\%~nx1 %1
goto :eof

rem :cut writes a line without its password. It is cut before the attribute; the element ends on the same line.
:cut
setlocal enabledelayedexpansion
set "cut="
set "tail=!line:* password=!"
if "!tail!"=="!line!" goto uncut
if not "!tail:~0,1!"=="=" goto uncut
for /l %%i in (0,1,2000) do if not defined cut if /i "!line:~%%i,9!"==" password" set "cut=%%i"
for %%i in (!cut!) do set "line=!line:~0,%%i! />"
:uncut
>>"%target%" echo(!line!
goto :eof

rem :metabase PATH copies the configuration of IIS 6 without its passwords and keys, each of which has a line of its own.
:metabase
call :state %1
if not "%state%"=="present" goto there
"%system%\findstr.exe" /v /i "Pass SessionKey" %1 >"%out%\files\%~nx1" 2>nul
set "code=%errorlevel%"
call :noted file files\%~nx1 %1
goto :eof

rem :program SERVICE reads the version of a service's program. What follows .exe in its command is left out.
:program
call :find "%services%\%1" ImagePath
if not defined found goto :eof
set "found=%found:"=%"
for /f "delims=|" %%p in ("%found:.exe=|%") do call :version %1 "%%p.exe"
goto :eof

rem :version NAME PATH reads the version of a program's file.
:version
call :state %2
if not "%state%"=="absent" goto measure
>>"%manifest%" echo version=absent - %~2
goto :eof
:measure
set "path2=%~2"
set "path2=%path2:\=\\%"
wmic datafile where "name='%path2%'" get Version /value <nul >"%out%\versions\%1.txt" 2>nul
set "code=%errorlevel%"
call :noted version versions\%1.txt %2
goto :eof

rem :other NAME COMMAND... keeps what a command says, for people.
:other
%2 %3 %4 %5 %6 >"%out%\other\%1.txt" 2>nul
>>"%manifest%" echo command=%errorlevel% other/%1.txt %2 %3 %4 %5 %6
goto :eof

rem :took KIND FILE WHAT notes what the last command wrote.
:took
set "code=%errorlevel%"

rem :noted KIND FILE WHAT notes what a command wrote, and its exit code.
:noted
set "name=%2"
set "name=%name:\=/%"
>>"%manifest%" echo %1=%code% %name% %~3
set "size=0"
if exist "%out%\%2" for %%f in ("%out%\%2") do set "size=%%~zf"
if "%code%"=="0" if not "%size%"=="0" goto :eof
set /a failed+=1
>>"%out%\failed.txt" echo     %1 %~3: exit code %code%, %size% bytes
goto :eof
