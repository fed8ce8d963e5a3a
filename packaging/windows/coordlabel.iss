; The installer of Windows. Everything that varies is defined by packaging/build.py (installers/windows.py).
; Installs for one user without administrator's rights, or for all with them.

#ifndef Version
  #error Run python packaging/build.py --target windows
#endif

[Setup]
AppId={#AppId}
AppName={#Name}
AppVersion={#Version}
AppPublisher={#Publisher}
VersionInfoVersion={#Version}
DefaultDirName={autopf}\{#Name}
DefaultGroupName={#Name}
DisableProgramGroupPage=yes
PrivilegesRequired=lowest
PrivilegesRequiredOverridesAllowed=dialog commandline
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
MinVersion=10.0.17763
OutputDir={#OutputDir}
OutputBaseFilename={#Name}-{#Version}-setup
SetupIconFile={#Icon}
UninstallDisplayIcon={app}\{#Name}.exe
Compression=lzma2/max
SolidCompression=yes
LZMANumBlockThreads=4
WizardStyle=modern
ChangesAssociations=yes
ChangesEnvironment=yes
CloseApplications=yes
#ifdef License
LicenseFile={#License}
#endif

[Languages]
Name: "en"; MessagesFile: "compiler:Default.isl"
Name: "de"; MessagesFile: "compiler:Languages\German.isl"

[Tasks]
Name: "desktopicon"; Description: "{cm:CreateDesktopIcon}"; Flags: unchecked
Name: "path"; Description: "Put the command coordlabel-console on the search path"; Flags: unchecked

[InstallDelete]
; libraries of an older version must not stay beside those of this one
Type: filesandordirs; Name: "{app}\_internal"
Type: filesandordirs; Name: "{app}\licences"

[Files]
Source: "{#Bundle}\*"; DestDir: "{app}"; Flags: recursesubdirs createallsubdirs ignoreversion

[Icons]
Name: "{autoprograms}\{#Name}"; Filename: "{app}\{#Name}.exe"
Name: "{autodesktop}\{#Name}"; Filename: "{app}\{#Name}.exe"; Tasks: desktopicon

[Registry]
Root: HKA; Subkey: "Software\Classes\.coordlabel"; ValueType: string; ValueData: "{#Name}.Project"; Flags: uninsdeletevalue
Root: HKA; Subkey: "Software\Classes\.coordlabel"; ValueType: string; ValueName: "Content Type"; ValueData: "{#MimeType}"
Root: HKA; Subkey: "Software\Classes\{#Name}.Project"; ValueType: string; ValueData: "{#Name} project"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\{#Name}.Project\DefaultIcon"; ValueType: string; ValueData: "{app}\{#Name}.exe,0"
Root: HKA; Subkey: "Software\Classes\{#Name}.Project\shell\open\command"; ValueType: string; ValueData: """{app}\{#Name}.exe"" ""%1"""
Root: HKCU; Subkey: "Environment"; ValueType: expandsz; ValueName: "Path"; ValueData: "{olddata};{app}"; Tasks: path; Check: IsNotOnPath(ExpandConstant('{app}'))

[Run]
Filename: "{app}\{#Name}.exe"; Description: "{cm:LaunchProgram,{#Name}}"; Flags: nowait postinstall skipifsilent

[Code]
function IsNotOnPath(Folder: string): Boolean;
var
  Present: string;
begin
  if not RegQueryStringValue(HKEY_CURRENT_USER, 'Environment', 'Path', Present) then
    Present := '';
  Result := Pos(';' + Uppercase(Folder) + ';', ';' + Uppercase(Present) + ';') = 0;
end;
